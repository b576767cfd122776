"""`python -m host` is the command `enginehost`."""

from host.cli.main import main

if __name__ == "__main__":
    main()
