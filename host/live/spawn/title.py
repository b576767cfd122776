"""What the system's `ps` and `top` show of a process: its command line and its short name.

The command line is the text the kernel put at the top of the stack when the program was exec'd; it is overwritten in
place, as far as it goes, and no further: behind it lies the environment. A fork inherits text and place.
"""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Final

ARG_START: Final = 45
"""Of the fields of `/proc/PID/stat` behind the name: where the command line begins, with its end in the next."""

SHORT_BYTES: Final = 15
"""Of a process's short name, as the kernel keeps it."""


def show_title(title: str, short: str) -> None:
    """Be shown as `title` by `ps`, as far as there is room, and as `short` by `top`."""
    start, end = _place()
    room = end - start - 1
    if room > 0:
        ctypes.memmove(start, title.encode()[:room].ljust(room + 1, b"\0"), room + 1)
    with open("/proc/self/comm", "wb") as comm:
        comm.write(short.encode()[:SHORT_BYTES])


def _place() -> tuple[int, int]:
    """Addresses of the command line's first byte and of the one behind its last; equal where the kernel hides them."""
    fields = Path("/proc/self/stat").read_bytes().rpartition(b")")[2].split()
    return int(fields[ARG_START]), int(fields[ARG_START + 1])
