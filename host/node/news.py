"""A process's report of its engines, declared once: written by the worker, sent, kept and shown in this form."""

from __future__ import annotations

from typing import Any, Final, dataclass_transform

import msgspec


@dataclass_transform(frozen_default=True)
class Packet(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """Base of everything that travels alone, whatever the driver's way to the node."""


class Trigger(msgspec.Struct, frozen=True, array_like=True, order=True):
    """The address of what an engine handles: a message by its stream and number, or timers (no sender, `n` 0)."""

    engine: str
    sender: str
    mailbox: int
    epoch: int
    n: int

    @property
    def stream(self) -> tuple[str, str, int, int]:
        """Engine, sender, mailbox, epoch."""
        return self.engine, self.sender, self.mailbox, self.epoch


Fatal = tuple[Trigger, str]
"""A message in which a process died, and how it killed if it did more than once; "": it died with its process."""


class Letter(msgspec.Struct, frozen=True, array_like=True):
    """A dead letter: sender, target, reason, time (engine time), and a rendering of the message."""

    reason: str
    sender: str
    target: str
    mailbox: int
    now_ns: int
    message: Any
    detail: str = ""


class NoteLine(msgspec.Struct, frozen=True, array_like=True):
    """A `Note` effect, or a line of a driver's log."""

    engine: str
    now_ns: int
    text: str
    fields: dict[str, Any] = {}


class Event(Packet):
    """Something an operator should know: a kind, the engine, and fields."""

    kind: str
    engine: str
    fields: dict[str, Any] = {}


DIVERGED: Final = "diverged"
"""Event kind: a recovery reached another state than the log records."""


class Waits(Packet):
    """An engine waits for a choice (options and deadline, engine time), or no longer does (no options).

    Sender, mailbox and a rendering of the message that it was given: it has left its mailbox, so if the process dies,
    the node makes a dead letter of them. After elapsed timers there is no sender.
    """

    engine: str
    options: tuple[str, ...] = ()
    deadline_ns: int | None = None
    sender: str = ""
    mailbox: int = 0
    message: Any = None


class SetAside(Packet):
    """A trigger for the quarantine: digests of state and code, and what it raised or how it killed.

    Descriptor: [payload], the message as it was encoded; none for timers.
    """

    trigger: Trigger
    now_ns: int
    state: str
    code: str
    detail: str


class RehearsalResult(msgspec.Struct, frozen=True, array_like=True):
    """A rehearsal that found nothing wrong: the turns run, those with a declared difference, places that are new.

    `repaired` turns failed before, and would not fail now. `lost` is why there was nothing to rehearse.
    """

    engine: str
    turns: int = 0
    intended: int = 0
    added: tuple[str, ...] = ()
    lost: str = ""
    repaired: int = 0

    @property
    def commutes(self) -> bool:
        """Whether the new version, from the migrated state before the triggers, made the migrated state behind them."""
        return not (self.intended or self.added or self.lost or self.repaired)
