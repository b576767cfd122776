"""Whether a process is stuck, seen from outside: periodic looks at its control page, adding up the time without
progress.

A process is stuck while its counters stand still and it does not just wait for mail: it is in a transition, it is
stopped by a signal, it computes without handling anything, or it does not answer. It is also stuck while it moves but
completes no cycle: then it receives nothing from others, and nothing leaves. Only time that passed between two looks
counts, and at most `LOOK_NS_MAX` for each. So a machine that slept, or a supervisor that was held up itself, blames no
process.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from host.config.spec import SupervisionSpec

LOOK_NS_MAX: Final = 1_000_000_000
"""The most that one look may add, however long ago the last one was."""

Condition = Literal["waiting", "handling", "stopped", "computing", "deaf"]
Alarm = Literal["", "soft", "hard"]


class Look(msgspec.Struct, frozen=True):
    """One look. `moves` changes whenever the process gets anything done, `cycles` when it completes a cycle."""

    moves: tuple[int, ...]
    condition: Condition
    cycles: int = 0


class Watch:
    """Mutable, one a process. `stuck_ns` is how long it has been stuck, as far as looks show; `last` is the last look.

    After `soft_ns` of the deadlines its stack is to be dumped, after `hard_ns` it is to be killed; 0: never.
    """

    def __init__(self, deadlines: SupervisionSpec) -> None:
        self.stuck_ns = 0
        self._deadlines = deadlines
        self.last: Look | None = None
        self._said: Alarm = ""

    def look(self, look: Look, passed_ns: int) -> Alarm:
        """The alarm that is due now; each comes once until the process moves again."""
        last, self.last = self.last, look
        if last is None or _gets_on(last, look) or "waiting" in (look.condition, last.condition):
            self.stuck_ns = 0
            self._said = ""
            return ""
        self.stuck_ns += min(passed_ns, LOOK_NS_MAX)
        hard_ns, soft_ns = self._deadlines.hard_ns, self._deadlines.soft_ns
        if hard_ns and self.stuck_ns >= hard_ns and self._said != "hard":
            self._said = "hard"
            return "hard"
        if soft_ns and self.stuck_ns >= soft_ns and not self._said:
            self._said = "soft"
            return "soft"
        return ""


def _gets_on(last: Look, look: Look) -> bool:
    """Whether a process got something done between two looks, and completed a cycle."""
    return last.moves != look.moves and last.cycles != look.cycles
