"""The first steps of each of our programs, and the command line that starts another one.

A program needs three standard streams. A closed one is opened as /dev/null; otherwise the next file, pipe or socket
would get its number, and everything printed. A program imports its own packages from its own folder, and Python's
library from Python: neither the current folder, nor a script's folder, nor PYTHONPATH comes before them. Imports of a
family work as usual, because the code roots have their own finder (`engines.model.store.load`) and the rest of the path
is unchanged.

Other packages named `host`, `engines`, `transport` or `bench` may exist on the path. Ours are imported first and stay
in `sys.modules`, and their submodules are found through them.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

OWN: Final = ("host", "engines", "transport", "bench")
"""Our top-level packages."""

ROOT: Final = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

LAUNCHER: Final = os.path.join(ROOT, "_enginehost.py")


def command(module: str, *arguments: str) -> tuple[str, ...]:
    """The command line of another program, the `main` of `module`, in the same installation."""
    return (sys.executable, "-P", LAUNCHER, module, *arguments)


def begin() -> None:
    """Open closed standard streams, and import our packages before others with their names can be found."""
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
    """Goes upwards, because `open` takes the lowest free number."""
    for fd, flags in enumerate((os.O_RDONLY, os.O_WRONLY, os.O_WRONLY)):
        try:
            os.fstat(fd)
        except OSError:
            os.set_inheritable(os.open(os.devnull, flags), True)
    sys.stdin = sys.stdin or open(0, closefd=False)  # noqa: SIM115
    sys.stdout = sys.stdout or open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = sys.stderr or open(2, "w", closefd=False)  # noqa: SIM115


def _put_python_first() -> None:
    """Remove the folder that Python put first; the order is then its library, PYTHONPATH, the rest."""
    if not sys.flags.safe_path and sys.path:
        del sys.path[0]
    library = os.path.dirname(os.__file__)
    own = [path for path in sys.path if path == library or path.endswith("/lib-dynload")]
    sys.path[:] = [*own, *(path for path in sys.path if path not in own)]
