"""`python -m retina_adapt`: the same as `retina-adapt`, for launchers that start modules."""

from retina_adapt.cli import main

if __name__ == "__main__":
    main()
