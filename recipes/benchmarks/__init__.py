"""The benchmarks that recipes/benchmark.py runs: one file each, with a function `main` that reads the command line."""
