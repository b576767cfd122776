"""Mail for children that are not born yet: kept for a while, bounded, in order."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from host.node.cell import NEVER

EARLY_NS_MAX: Final = 2_000_000_000
"""How long mail waits for a birth; a spawn takes milliseconds."""

EARLY_MESSAGES_MAX: Final = 10_000
"""Messages waiting for births at most; further ones become dead letters at once."""


class Letterbox(NamedTuple):
    """The content of a frame, as `Scheduler.deliver` takes it."""

    peer: int
    sender: str
    target: str
    mailbox: int
    epoch: int
    first_n: int
    payloads: list[Any]


class EarlyMail:
    """Mutable, one a scheduler. `deadline_ns`: when the mail that waits longest has waited long enough."""

    def __init__(self) -> None:
        self.deadline_ns = NEVER
        self._letters: dict[str, list[Letterbox]] = {}
        self._since: dict[str, int] = {}
        self._messages = 0

    def keep(self, letter: Letterbox, now_ns: int) -> bool:
        """Keep a letterbox until its target is born; False when too much waits already."""
        if self._messages + len(letter.payloads) > EARLY_MESSAGES_MAX:
            return False
        self._messages += len(letter.payloads)
        self._letters.setdefault(letter.target, []).append(letter)
        self._since.setdefault(letter.target, now_ns)
        self._set_deadline()
        return True

    def take(self, name: str) -> list[Letterbox]:
        """Take out the mail that waits for `name`, which is born now, in order of arrival."""
        letters = self._letters.pop(name, None)
        if letters is None:
            return []
        del self._since[name]
        self._messages -= sum(len(letter.payloads) for letter in letters)
        self._set_deadline()
        return letters

    def expired(self, now_ns: int) -> list[Letterbox]:
        """Take out the mail that has waited too long."""
        late = [name for name, since in self._since.items() if now_ns - since >= EARLY_NS_MAX]
        return [letter for name in late for letter in self.take(name)]

    def waiting(self) -> list[Letterbox]:
        """All waiting mail, left in place."""
        return [letter for letters in self._letters.values() for letter in letters]

    def _set_deadline(self) -> None:
        """The first name has waited longest: time never goes back."""
        self.deadline_ns = next(iter(self._since.values()), NEVER - EARLY_NS_MAX) + EARLY_NS_MAX
