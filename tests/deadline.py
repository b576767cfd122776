"""How long tests wait, and what they do with a process that does not end."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

DEADLINE_S: Final = 60.0
"""A wait for something that must happen ends when it happens, so a long limit costs time only where a test fails.

A machine with ten times the work it can do must not reach it: the slowest waits take two seconds on an idle one.
"""

DEADLINE_NS: Final = int(DEADLINE_S * 1e9)


@contextmanager
def killed_at_last(process: subprocess.Popen[str] | subprocess.Popen[bytes]) -> Iterator[None]:
    """Kill the process at the end, however the block ended: the end of its own `with` waits for it without a limit."""
    try:
        yield
    finally:
        process.kill()
