"""What each of our programs does before anything else, and how one of them starts another.

A program begins with three standard streams: a closed one becomes /dev/null, or the next file, pipe or socket that is
opened would take its number and everything printed. And it imports its own packages from where it lies, and Python's
from Python: neither the folder a command was typed in, nor a script's own folder, nor PYTHONPATH comes before them.
What a family imports is found as ever, since the code roots have a finder of their own (`engines.model.store.load`) and
the rest of the path stays as it was.

Packages named `host`, `engines`, `transport` and `bench` may well exist elsewhere on a path. Imported once, ours stay
ours, and their modules are found through them.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import Final

OWN: Final = ("host", "engines", "transport", "bench")
"""Our top-level packages."""

ROOT: Final = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

LAUNCHER: Final = os.path.join(ROOT, "_enginehost.py")


def command(module: str, *arguments: str) -> tuple[str, ...]:
    """The command line of another program of ours, the `main` of `module`. It is the same installation as this one."""
    return (sys.executable, "-P", LAUNCHER, module, *arguments)


def begin() -> None:
    """Open standard streams that are closed, and import our packages before others of their names are found."""
    _open_streams()
    _put_python_first()
    before = sys.path[:]
    sys.path[:] = [ROOT]
    try:
        for name in OWN:
            import_module(name)
    finally:
        sys.path[:] = before


def _open_streams() -> None:
    """The lowest free number is the one that `open` takes, so this goes upwards."""
    for fd, flags in enumerate((os.O_RDONLY, os.O_WRONLY, os.O_WRONLY)):
        try:
            os.fstat(fd)
        except OSError:
            os.set_inheritable(os.open(os.devnull, flags), True)
    sys.stdin = sys.stdin or open(0, closefd=False)  # noqa: SIM115
    sys.stdout = sys.stdout or open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = sys.stderr or open(2, "w", closefd=False)  # noqa: SIM115


def _put_python_first() -> None:
    """Drop the folder that Python put first by itself; then its library, then what PYTHONPATH names, then the rest."""
    if not sys.flags.safe_path and sys.path:
        del sys.path[0]
    library = os.path.dirname(os.__file__)
    own = [path for path in sys.path if path == library or path.endswith("/lib-dynload")]
    sys.path[:] = [*own, *(path for path in sys.path if path not in own)]
