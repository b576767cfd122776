"""What a driver of cycles owes the log, if it is not the scheduler: the cycle in C (`host/live/journaled.h`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from host.node.journaled.keeping import Kept, Way
from host.node.way import Way as Course


class Ledger(NamedTuple):
    """In the order of a cycle: `frame` and `run` for each frame, `commit`, heads move, outputs leave, `flushed`."""

    kept: dict[str, Kept]
    """The journaled engines by name; the dictionary of the keeping."""
    frame: Callable[[str, bytes], None]
    """As `Batch.frame`."""
    run: Callable[[str, str, int, int, int, str, int, bytes], None]
    """As `Batch.run`."""
    commit: Callable[[], bool]
    """The batch is in the log when this returns; whether the caller has something to see to before it sleeps."""
    left: Callable[[Kept, Way, Course, int], None]
    """Outputs up to this number were given to the course's outlet."""
    flushed: Callable[[], bool]
    """What left is published; whether the caller has something to see to before it sleeps."""
