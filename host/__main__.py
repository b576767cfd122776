"""`python -m host` is the command `enginehost`."""

from host.entry import main

__all__ = ["main"]

if __name__ == "__main__":
    main()
