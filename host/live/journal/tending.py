"""What a writer does beside writing, now and then: digests of states, and a look whether its log is still there.

Both together take one part in `SHARE` of the time at most. No cycle pays for them but with a look at `is_resting`: an
alarm wakes the worker, soon after the first write behind a look, so that a digest covers it, and where nothing was
written to look at the log, at pauses that grow to IDLE_NS_MAX.

A log that is gone (unlinked, moved away, or another one in its place) takes no more of this life. What was acknowledged
since it went is in no file, but in this process; what becomes of it says `host.live.journal.rescue`.
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
"""A slot that was idle since the last look is looked at after this, then after twice this, and so on."""
IDLE_NS_MAX: Final = 4 * IDLE_NS


class Tending:
    """Mutable, one a writer. `alarm.fd` is readable when `tend` wants to be called.

    `is_resting`: everything written is looked at; whoever writes calls `stir`.
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
        """Something is written."""
        self.is_resting = False
        now_ns = self._clock()
        self._wake(now_ns, max(PAUSE_NS // 4, self._not_before_ns - now_ns))

    def tend(self) -> None:
        """Between two cycles, from the alarm on; before that it does nothing. Raises `Stopped` when the log is gone."""
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
        """Before the last append of a life that ends in order. Raises as `tend`."""
        self._journal.check_there()
        self._digests.write_all()

    def _wake(self, now_ns: int, pause_ns: int) -> None:
        self._at_ns = now_ns + pause_ns
        self.alarm.set(pause_ns)
