"""Sets what the system's `ps` and `top` show of a process: its command line and its short name.

The command line is the text the kernel put at the top of the stack at exec. It is overwritten in place, within its
length, since the environment follows it. A fork inherits text and place.
"""

from __future__ import annotations

import ctypes
from typing import Final

from host.live.process_stat import stat_fields

ARG_START: Final = 45
"""Index of the command line's begin among the fields of `/proc/PID/stat` after the name; its end comes next."""

SHORT_BYTES: Final = 15
"""Longest short name that the kernel keeps."""


def show_title(title: str, short: str) -> None:
    """Set the title shown by `ps`, as far as there is room, and the short name shown by `top`."""
    start, end = _place()
    room = end - start - 1
    if room > 0:
        ctypes.memmove(start, title.encode()[:room].ljust(room + 1, b"\0"), room + 1)
    show_name(short)


def show_name(short: str) -> None:
    """Set the short name alone."""
    with open("/proc/self/comm", "wb") as comm:
        comm.write(short.encode()[:SHORT_BYTES])


def _place() -> tuple[int, int]:
    """Addresses of the command line's begin and end (exclusive); equal where the kernel hides them."""
    fields = stat_fields("self")
    return int(fields[ARG_START]), int(fields[ARG_START + 1])
