"""The calls that the cycle in C owes the log (`host/live/cycle/journaled.h`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from host.node.journaled.acks import Stream
from host.node.journaled.keeping import EngineRecorder


class Ledger(NamedTuple):
    """In the order of a cycle: `frame` and `run` for each frame, `commit`, heads move, outputs leave, `flushed`."""

    frame: Callable[[str, bytes], None]
    """As `Batch.frame`."""
    run: Callable[[str, str, int, int, int, str, int, bytes], None]
    """As `Batch.run`."""
    commit: Callable[[], bool]
    """The batch is in the log when this returns; returns whether the caller has work to do before it sleeps."""
    left: Callable[[EngineRecorder, Stream, int, int], None]
    """As `Acks.left`."""
    flushed: Callable[[], bool]
    """Outputs are published; returns whether the caller has work to do before it sleeps."""
