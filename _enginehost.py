"""Starts each program of enginehost, under a module name that no other package uses.

The command `enginehost` is `main` here, and the command `aism` is `aism`. `python -P _enginehost.py MODULE ARGUMENTS`
runs the `main` of a module: one of our programs starts another in this way (`host.program`). All use the `host` beside
this file, whatever else is on the path.
"""

import os
import sys


def main() -> None:
    """The command line."""
    _host()
    from host.entry import main

    main()


def aism() -> None:
    """The command line of agents."""
    _host()
    from host.program import begin

    begin()
    from host.aism.main import main

    try:
        main()
    except SystemExit as ended:
        _leave(ended)


def run() -> object:
    """Run the module in the first argument, and remove that argument."""
    _host()
    from importlib import import_module

    from host.program import begin

    begin()
    del sys.argv[0]
    return import_module(sys.argv[0]).main()


def _leave(ended: SystemExit) -> None:
    """End the process at once: taking the interpreter apart takes some milliseconds, of the forty that a call has."""
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError:
        raise ended from None
    if not isinstance(ended.code, int):
        raise ended
    os._exit(ended.code)


def _host() -> None:
    before = sys.path[:]
    sys.path[:] = [os.path.dirname(os.path.abspath(__file__))]
    try:
        import host  # noqa: F401
    finally:
        sys.path[:] = before


if __name__ == "__main__":
    sys.exit(run())  # type: ignore[arg-type]
