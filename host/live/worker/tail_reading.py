"""A candidate's end of the file of a tail (`tailing`): read behind its writer, up to where that was at the cut."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Mapping
from typing import Final

from host.live.journal.frames import read_frame
from host.live.packets import growing_parts
from host.node.rehearsal import RehearsalEnd
from host.node.tail_following import Followed, TailFollower

LEVEL_TURNS: Final = 128
"""Turns of one pass; a candidate with fewer is level. They take a millisecond or two."""

LEVEL_NS_MAX: Final = 10_000_000_000
"""To come level: who waits for the reload would rather have a pause."""

GROWN_MAX: Final = 3
"""Passes that may be longer than the one before. Nobody meets an engine whose turns take longer to run again than they
took."""


class TailReader:
    """Mutable, one a candidate. `is_begun` once it follows."""

    def __init__(self, file: int, rehearsed: dict[str, RehearsalEnd], stand_at: Callable[[str], None]) -> None:
        """Owns `file`. `stand_at` gets each engine that runs next."""
        self.is_begun = False
        self._file = file
        self._at = 0
        self._follower = TailFollower(rehearsed, read_frame)
        self._stand_at = stand_at

    def come_level(self, within_ns: int) -> bool:
        """Begin, and run triggers until few are left; False if there are ever more, or the time is up. Raises
        `Differs`."""
        until_ns, before, grown = time.monotonic_ns() + min(within_ns, LEVEL_NS_MAX), sys.maxsize, 0
        while (turns := self.catch_up(until_ns)) > LEVEL_TURNS:
            grown += turns >= before
            before = turns
            if grown > GROWN_MAX or time.monotonic_ns() > until_ns:
                return False
        self.is_begun = bool(self._follower.engines)
        return self.is_begun

    def catch_up(self, until_ns: int | None = None) -> int:
        """Run what was written since, until then; how many triggers that were. Raises `Differs`."""
        turns = 0
        for part, end in growing_parts(self._file, self._at):
            turns += self._follower.run(part, self._stand_at)
            self._at = end
            if until_ns is not None and time.monotonic_ns() > until_ns:
                break
        self._stand_at("")
        return turns

    @property
    def large(self) -> tuple[str, ...]:
        """The engines whose states need not cross."""
        return tuple(name for name, followed in self._follower.engines.items() if followed.is_large)

    def end(self, tail_end: int) -> Mapping[str, Followed]:
        """The engines that were followed up to the end of the tail; none if it was not followed, or ended before (0).

        Closes the file. Raises `Differs`.
        """
        if self.is_begun and tail_end:
            self.catch_up()
        os.close(self._file)
        return self._follower.engines if self.is_begun and self._at == tail_end else {}
