"""`python -m dkvb` is `dkvb`."""

from dkvb.cli import main

if __name__ == "__main__":
    main()
