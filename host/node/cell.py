"""One engine of a slot: its environment as the model defines it, and the state the host keeps beside it.

An engine is *runnable* unless it is *suspended* or *held*. A suspended engine waits for a user's choice; the trigger
and the answers so far are kept in `suspension`. A held engine has committed outputs that cannot leave, because a target
sent stop, a lane is full, or a name is being looked up. A suspended or held engine gets no trigger; its mail waits, its
neighbours go on. An engine with `notify` has a driver instead of rules. It gets no triggers but takes its mail itself;
`notify` is called when mail arrives or when it is no longer held.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, Literal

import msgspec

from engines.model import Configuration, Declaration, Delivery, Due, Environment, Family
from host.config.spec import MailboxSpec
from host.node.journal.marks import Taken, take
from host.node.mailbox import Inbox
from transport.port import Outlet

if TYPE_CHECKING:
    from host.node.recorder import Recorder

NEVER: Final = (1 << 63) - 1
"""Later than any deadline; the deadline of an engine that has none."""
MARKS_MAX: Final = 10_000
"""Streams whose position an engine remembers; beyond it the longest idle one is forgotten."""

STRIDE_MIN: Final = 1
"""Messages that a new engine runs before the clock is read."""

STRIDE_MAX: Final = 32
"""Messages run between two readings of the clock while no timer is pending: all of them may turn out to be slow."""


PLAIN: Final = MailboxSpec()
"""The bounds of a mailbox that the node file does not mention."""

NOBODY: Final[frozenset[int]] = frozenset()
"""Slots that were sent stop; shared by all engines that sent none."""


Blocked = tuple[Literal["route", "stop", "room"], str | int]
"""What an output waits for: the slot of a name, the go of a target, room in the lane to a slot (`host.node.outbox`)."""


class Mark:
    """How far a stream has come: the next number expected in `epoch`."""

    __slots__ = ("epoch", "next_n")

    def __init__(self, epoch: int, next_n: int) -> None:
        self.epoch = epoch
        self.next_n = next_n


class Suspension(msgspec.Struct, frozen=True):
    """A transition that waits for a choice. `deadline_ns`: when the time-out answers; `NEVER` without one."""

    cause: Delivery[Any] | Due
    at_ns: int
    answers: tuple[Any, ...]
    question: Any
    deadline_ns: int


class Way:
    """The sending end of a stream: its outlet or receiving cell, and its next number while it has no outlet."""

    __slots__ = ("cell", "inbox", "next_n", "outlet", "peer")

    def __init__(self, next_n: int) -> None:
        self.next_n = next_n
        self.outlet: Outlet | None = None
        self.peer = 0
        self.cell: Cell | None = None
        self.inbox: Inbox | None = None

    def close(self) -> None:
        """Forget the target's place, keep the number."""
        if self.outlet is not None:
            self.next_n = self.outlet.next_n
        self.outlet = self.cell = self.inbox = None

    @property
    def number(self) -> int:
        """The number of the next message."""
        return self.next_n if self.outlet is None else self.outlet.next_n


class Cell(msgspec.Struct, eq=False):
    """Mutable, owned by one scheduler, made by `new_cell`. With a driver `family` is a device and `env` None.

    `recorder` is None for a volatile engine. `poison`: what a journaled engine does once a trigger of it is set aside;
    "": no trigger is set aside.
    """

    name: str
    family: Any
    configuration: Configuration[Any]
    env: Any
    inboxes: dict[int, Inbox]
    only_inbox: Inbox | None
    marks: dict[tuple[str, int], Mark] = {}
    suspension: Suspension | None = None
    recorder: Recorder | None = None
    held: dict[str, deque[tuple[int, Any]]] = {}
    ways: dict[tuple[str, int], Way] = {}
    closed: dict[tuple[str, int], int] = {}
    ways_from_n: int = 1
    told: frozenset[int] = NOBODY
    notify: Callable[[], None] | None = None
    poison: Literal["", "skip", "stop", "park"] = ""
    is_ended: bool = False
    is_queued: bool = False
    is_stopping: bool = False
    stride: int = STRIDE_MIN
    deadline_ns: int = NEVER
    heaped_ns: int = NEVER
    handled: int = 0
    received: int = 0
    sent: int = 0
    failed: int = 0
    ignored: int = 0

    @property
    def is_runnable(self) -> bool:
        """Whether the engine may be given a trigger."""
        return self.suspension is None and not self.held and self.notify is None

    @property
    def depth(self) -> int:
        """Messages waiting in all mailboxes."""
        if self.only_inbox is not None:
            return self.only_inbox.depth
        return sum(inbox.depth for inbox in self.inboxes.values())

    def next_inbox(self) -> Inbox | None:
        """The mailbox whose mail arrived first; None when all are empty."""
        if self.only_inbox is not None:
            return self.only_inbox if self.only_inbox.depth else None
        found: Inbox | None = None
        for inbox in self.inboxes.values():
            if inbox.depth and (found is None or inbox.batches[0].arrival < found.batches[0].arrival):
                found = inbox
        return found

    def let_views_go(self) -> None:
        """Copy waiting mail that lies in senders' memory: the engine cannot run for now. A driver takes mail anyway."""
        if self.notify is None:
            for inbox in self.inboxes.values():
                if inbox.has_views:
                    inbox.copy_large()

    def take(self, sender: str, mailbox: int, epoch: int, first_n: int, count: int) -> Taken:
        """What of arriving mail is new; the stream has come that far from now on."""
        mark = self.marks.get((sender, mailbox))
        taken = take(None if mark is None else (mark.epoch, mark.next_n), epoch, first_n, count)
        if taken.skip < count:
            self.mark(sender, mailbox, *taken.mark)
        return taken

    def mark(self, sender: str, mailbox: int, epoch: int, next_n: int) -> None:
        """Remember how far a stream has come."""
        key = (sender, mailbox)
        known = self.marks.pop(key, None)
        self.marks[key] = known = known or Mark(epoch, next_n)
        known.epoch, known.next_n = epoch, next_n
        if len(self.marks) > MARKS_MAX:
            del self.marks[next(iter(self.marks))]


def new_cell(
    family: Declaration[Any, Any, Any],
    configuration: Configuration[Any],
    env: Environment[Any] | None,
    mailboxes: Mapping[int, MailboxSpec],
) -> Cell:
    """An engine with empty mailboxes, within the bounds of the node file."""
    family = bounded(family, mailboxes)
    inboxes: dict[int, Inbox] = {}
    inbox = None
    for number, box in family.boxes.items():
        inboxes[number] = inbox = Inbox(box, mailboxes.get(number, PLAIN))
    only_inbox = inbox if len(inboxes) == 1 else None
    return Cell(configuration.name, family, configuration, env, inboxes, only_inbox)


def bounded(family: Declaration[Any, Any, Any], mailboxes: Mapping[int, MailboxSpec]) -> Declaration[Any, Any, Any]:
    """The family with the stored-message bounds of the node file: `step` knows one bound only."""
    given: dict[int, int] = {}
    for number, spec in mailboxes.items():
        if spec.stored_max is not None and number in family.boxes:
            given[number] = spec.stored_max
    return family.bounded(given) if given and isinstance(family, Family) else family
