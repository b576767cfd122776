"""What a writer does beside writing, now and then: digests of states, and a look whether its log is still there.

Called before each append. Both together take one part in `SHARE` of the time at most, and come at most every PAUSE_NS.
An alarm wakes a slot without mail: soon after its last turns, so that a digest covers them, and then to look at the
log, at pauses that grow to IDLE_NS_MAX.

A log that is gone (unlinked, moved away, or another one in its place) takes no more of this life: the append after the
look does not happen, so nothing more is acknowledged. What was acknowledged since the log went, within IDLE_NS_MAX, is
in no file, but in this process; what becomes of it says `host.live.journal.rescue`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from host.live.journal.alarm import Alarm
from host.live.journal.writer import Journal
from host.node.journal.state_digest import SHARE, DigestWriter

PAUSE_NS: Final = 5_000_000
IDLE_NS: Final = 1_000_000_000
"""A slot that was idle since the last look is looked at after this, then after twice this, and so on."""
IDLE_NS_MAX: Final = 4 * IDLE_NS


class Tending:
    """Mutable, one a writer. `alarm.fd` is readable when `tend` wants to be called."""

    def __init__(self, journal: Journal, digests: DigestWriter, clock: Callable[[], int]) -> None:
        """Raises OSError."""
        self.alarm = Alarm()
        self._journal = journal
        self._changed = journal.batch.changed
        self._digests = digests
        self._clock = clock
        self._next_ns = 0
        self._is_soon = False
        self._idle_ns = IDLE_NS
        self._position = journal.position

    def tend(self) -> None:
        """Before an append. Raises `Stopped` when the log is gone."""
        now_ns = self._clock()
        if now_ns >= self._next_ns:
            self._look()
        elif self._changed and not self._is_soon:
            self._is_soon = True
            self.alarm.set(self._next_ns - now_ns)

    def finish(self) -> None:
        """Before the last append of a life that ends in order. Raises as `tend`."""
        self._journal.check_there()
        self._digests.write_all()

    def _look(self) -> None:
        began_ns = self._clock()
        self._journal.check_there()
        self._digests.write_some()
        now_ns = self._clock()
        self._next_ns = now_ns + max(PAUSE_NS, SHARE * (now_ns - began_ns))
        is_idle = self._journal.position == self._position
        self._idle_ns = min(2 * self._idle_ns, IDLE_NS_MAX) if is_idle else IDLE_NS
        self._position = self._journal.position
        self._is_soon = bool(self._changed)
        self.alarm.set(self._next_ns - now_ns if self._is_soon else self._idle_ns)
