"""How long tests wait."""

from __future__ import annotations

from typing import Final

PATIENCE_S: Final = 60.0
"""A wait for something that must happen ends when it happens, so a long limit costs time only where a test fails.

A machine with ten times the work it can do must not reach it: the slowest waits take two seconds on an idle one.
"""

PATIENCE_NS: Final = int(PATIENCE_S * 1e9)
