"""What proc(5) tells of a process in its file `stat`."""

from __future__ import annotations

import contextlib
import os


def stat_fields(pid: int | str) -> list[str]:
    """The fields after the name: the letter of its state, the pid of its parent, and so on; [] once it is gone."""
    with contextlib.suppress(OSError), open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
        return file.read().rpartition(")")[2].split()
    return []


def state_of(pid: int) -> str:
    """The letter of its state: R, S, D, T, t, Z …; "" once it is gone."""
    return "".join(stat_fields(pid)[:1])


def parent_of(pid: int | str) -> int:
    """The pid of its parent; 0 once it is gone."""
    fields = stat_fields(pid)
    return int(fields[1]) if fields else 0


def resident_bytes(pid: int) -> int:
    """The memory that it has in use; 0 once it is gone."""
    fields = stat_fields(pid)
    return int(fields[_RESIDENT_PAGES]) * os.sysconf("SC_PAGE_SIZE") if fields else 0


_RESIDENT_PAGES = 21
"""Field 24 of the file, counted from behind the name."""
