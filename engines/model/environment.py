"""The environment of an engine: an immutable snapshot, replaced as a whole by each transition.

It holds local state, the mailbox cluster, pending timers, acquaintances and the counters that keep names and timer
handles unique for ever. The engine's clock is not part of it: time comes with the trigger.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

import msgspec

from .map import Map

if TYPE_CHECKING:
    from .box import Box, Mailbox

S_co = TypeVar("S_co", covariant=True)
B = TypeVar("B")
M = TypeVar("M")


class Timer(msgspec.Struct, frozen=True):
    """The declaration of a timer by name. Setting a pending name supersedes it."""

    name: str


class Numbered(msgspec.Struct, frozen=True):
    """A child word that gets a number from the parent's counter: `worker.1`, `worker.2`."""

    word: str


class Handle(msgspec.Struct, frozen=True, order=True):
    """A timer that was set: its name, and a number from the engine's own counter that is never used again."""

    name: str
    number: int


class Pending(msgspec.Struct, frozen=True):
    """A timer that has not elapsed: its handle's number and its deadline on the engine's clock."""

    number: int
    deadline_ns: int


class Environment(msgspec.Struct, Generic[S_co], frozen=True, gc=False):
    """One engine's state, mailboxes (by number, None for a gap), timers (by name), acquaintances, and counters.

    `children` keeps every child word ever used: `word` for a plain one, `word.` with the last number given out for a
    numbered one.
    """

    state: S_co
    mailboxes: tuple[Mailbox[Any, Any] | None, ...] = ()
    timers: Map[str, Pending] = Map()
    acquaintances: Map[str, None] = Map()
    children: Map[str, int] = Map()
    timer_count: int = 0

    def __getitem__(self, box: Box[M, B]) -> Mailbox[M, B]:
        """The mailbox a box declares. Raises KeyError when the family does not have it."""
        number = box.number
        mailbox = self.mailboxes[number] if number < len(self.mailboxes) else None
        if mailbox is None:
            raise KeyError(f"this family declares no mailbox {number}")
        return mailbox

    def is_pending(self, timer: Timer) -> bool:
        """Whether a timer was set and has neither elapsed nor been cancelled. A trigger's own timer is not pending."""
        return timer.name in self.timers

    def with_state(self, state: Any) -> Environment[Any]:
        """This environment with another state."""
        return Environment(state, self.mailboxes, self.timers, self.acquaintances, self.children, self.timer_count)

    def with_mailboxes(self, mailboxes: tuple[Mailbox[Any, Any] | None, ...]) -> Environment[S_co]:
        """This environment with another mailbox cluster."""
        return Environment(self.state, mailboxes, self.timers, self.acquaintances, self.children, self.timer_count)

    def with_timers(self, timers: Map[str, Pending], count: int | None = None) -> Environment[S_co]:
        """This environment with other timers, and another number given out last."""
        last = self.timer_count if count is None else count
        return Environment(self.state, self.mailboxes, timers, self.acquaintances, self.children, last)

    def with_acquaintances(self, known: Map[str, None]) -> Environment[S_co]:
        """This environment with other acquaintances."""
        return Environment(self.state, self.mailboxes, self.timers, known, self.children, self.timer_count)

    def with_children(self, children: Map[str, int]) -> Environment[S_co]:
        """This environment with other child words."""
        return Environment(self.state, self.mailboxes, self.timers, self.acquaintances, children, self.timer_count)

    def child_word(self, word: str | Numbered, after: int = 0) -> str:
        """The word of a child: itself, or for a numbered one the word its spawn will get after `after` others."""
        if isinstance(word, str):
            return word
        return f"{word.word}.{self.children.get(word.word + '.', 0) + 1 + after}"


NO_TIMERS: Final[Map[str, Pending]] = Map()


def due_timers(env: Environment[Any], now_ns: int) -> tuple[Handle, ...]:
    """The handles of all timers whose deadline has come, the earliest deadline first, then by number; may be empty."""
    due = [(timer.deadline_ns, timer.number, name) for name, timer in env.timers.items() if timer.deadline_ns <= now_ns]
    return tuple(Handle(name, number) for _, number, name in sorted(due))


def next_deadline(env: Environment[Any]) -> int | None:
    """The earliest deadline of an engine, in nanoseconds of its clock; None without a pending timer."""
    if not env.timers:
        return None
    return min([timer.deadline_ns for timer in env.timers.values()])
