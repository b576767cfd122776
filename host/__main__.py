"""`python -m host` is the command `enginehost`."""

from host.entry import main

if __name__ == "__main__":
    main()
