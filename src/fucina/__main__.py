"""python -m fucina: the command line."""

from fucina.cli import main

if __name__ == "__main__":
    main()
