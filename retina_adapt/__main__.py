"""`python -m retina_adapt`: what `retina-adapt` is, for launchers that start modules."""

from retina_adapt.cli import main

if __name__ == "__main__":
    main()
