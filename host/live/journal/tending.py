"""A writer's periodic work beside writing: digests of states, and a check that its log is still there.

Both together take at most one part in `SHARE` of the time. A cycle pays for them only by reading `is_resting`: an alarm
wakes the worker soon after the first write since a look, for a digest that covers it, and without a write to check the
log, at pauses that grow to IDLE_NS_MAX.

If the log is gone (unlinked, moved away, or replaced by another one), nothing more of this life is written to it. What
was acknowledged since then is in no file, only in this process; `host.live.journal.rescue` saves it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from host.live.journal.alarm import LookAlarm
from host.live.journal.writer import Journal
from host.node.journal.state_digest import SHARE, DigestWriter

PAUSE_NS: Final = 20_000_000
"""Between two looks while something is written."""
IDLE_NS: Final = 1_000_000_000
"""Pause after a look that found no write; the next such pause is twice as long, and so on."""
IDLE_NS_MAX: Final = 4 * IDLE_NS


class Tending:
    """Mutable, one a writer. `alarm.fd` is readable when `tend` is due.

    `is_resting`: everything written is covered; a caller about to write then calls `stir`.
    """

    def __init__(self, journal: Journal, digests: DigestWriter, clock: Callable[[], int]) -> None:
        """Raises OSError."""
        self.alarm = LookAlarm()
        self.is_resting = True
        self._journal = journal
        self._digests = digests
        self._clock = clock
        self._not_before_ns = 0
        self._at_ns = 0
        self._idle_ns = IDLE_NS
        self._position = journal.position

    def stir(self) -> None:
        """Note that something is about to be written."""
        self.is_resting = False
        now_ns = self._clock()
        self._wake(now_ns, max(PAUSE_NS // 4, self._not_before_ns - now_ns))

    def tend(self) -> None:
        """Called between two cycles; does nothing before the alarm's time. Raises `LogStopped` if the log is gone."""
        began_ns = self._clock()
        if began_ns < self._at_ns:
            return
        self._journal.check_there()
        self._digests.write_some()
        now_ns = self._clock()
        self._not_before_ns = now_ns + max(PAUSE_NS, SHARE * (now_ns - began_ns))
        self.is_resting = not self._journal.batch.changed
        if not self.is_resting:
            self._wake(now_ns, self._not_before_ns - now_ns)
            return
        is_idle = self._journal.position == self._position
        self._position = self._journal.position
        self._idle_ns = min(2 * self._idle_ns, IDLE_NS_MAX) if is_idle else IDLE_NS
        self._wake(now_ns, self._idle_ns)

    def finish(self) -> None:
        """Called before the last append of a normal exit. Raises as `tend`."""
        self._journal.check_there()
        self._digests.write_all()

    def _wake(self, now_ns: int, pause_ns: int) -> None:
        self._at_ns = now_ns + pause_ns
        self.alarm.set(pause_ns)
