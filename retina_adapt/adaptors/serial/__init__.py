"""The serial adaptor, the paper's form: in series with the block, before its skip connection is added."""
