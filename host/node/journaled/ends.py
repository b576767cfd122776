"""Ended engines of a slot with a journal: reported to the node once their outputs are acknowledged.

Until then only the log holds their outputs, and only a process of this slot can send them again. The end must therefore
stay unreported: the parent would strike the engine off, and no life of the node would start its process. Mail that
arrives meanwhile becomes dead letters, as after any end. If all children of a slot have ended, its log is marked first
(`host.live.journal.over`). Crash points: after a kill anywhere, the next process finds the ends in the log and reports
them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from host.node.journaled.keeping import Keeping
from host.node.report import Report

WAIT_NS: Final = 1_000_000
"""Delay of the first look for an acknowledgement, which rings no bell; later delays grow with the time waited."""

WAIT_NS_MAX: Final = 250_000_000


class Ends:
    """Mutable, one a process. `mark` is called when none of its engines is left, before the last end is reported."""

    def __init__(self, keeping: Keeping, report: Report, clock: Callable[[], int], mark: Callable[[], None]) -> None:
        self._keeping = keeping
        self._report = report
        self._clock = clock
        self._mark = mark
        self._waiting: dict[str, int] = {}

    @property
    def are_waiting(self) -> bool:
        """Whether an end waits for acknowledgements."""
        return bool(self._waiting)

    def sift(self, living: int) -> None:
        """Keep only those ends in the report that may be sent. `living` counts the living engines."""
        ended = self._report.stopped
        if not ended and not self._waiting:
            return
        leaving = self._keeping.leaving
        since = self._waiting
        known = [*since, *(name for name in ended if name not in since)]
        self._waiting = {name: since.get(name) or self._clock() for name in known if name in leaving}
        ended[:] = [name for name in known if name not in leaving]
        if ended and not living and not leaving:
            self._mark()

    def sleep_ns(self, now_ns: int) -> int:
        """How long to sleep at most until the next look."""
        waited_ns = now_ns - max(self._waiting.values())
        return min(max(WAIT_NS, waited_ns // 4), WAIT_NS_MAX)
