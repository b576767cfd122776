"""Begins each program of enginehost, under a name that nobody else uses.

`enginehost` is `main` here; `python -P _enginehost.py MODULE ARGUMENTS` is the `main` of that module, which is how one
of our programs starts another (`host.program`). Ours is the `host` beside this file, whatever else the path has.
"""

import os
import sys


def main() -> None:
    """The command line."""
    _host()
    from host.entry import main

    main()


def run() -> object:
    """The module that the arguments name; they move up."""
    _host()
    from importlib import import_module

    from host.program import begin

    begin()
    del sys.argv[0]
    return import_module(sys.argv[0]).main()


def _host() -> None:
    before = sys.path[:]
    sys.path[:] = [os.path.dirname(os.path.abspath(__file__))]
    try:
        import host  # noqa: F401
    finally:
        sys.path[:] = before


if __name__ == "__main__":
    sys.exit(run())  # type: ignore[arg-type]
