"""Private memory of a process, as the kernel counts it."""

from __future__ import annotations

from pathlib import Path


def private_bytes(pid: int) -> int:
    """Memory that a process does not share (`Private_Clean` and `Private_Dirty`)."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return 1024 * sum(int(line.split()[1]) for line in lines if line.startswith(("Private_Clean:", "Private_Dirty:")))
