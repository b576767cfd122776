"""What decisions are about, and what they are: wishes, moves, refusals, and what is done because of a move."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TypeAlias

from engines.model import Value

from .decide_record import Record
from .model import Actor, Datum, Transition


class Wish(Value):
    """A move that somebody wants: a target, or an event, or both. `fields` are as JSON gives them."""

    actor: Actor = "agent"
    target: str = ""
    event: str = ""
    fields: Mapping[str, object] = {}
    reason: str = ""


class Intent(Value):
    """Something that the engine does because of a move. `to` and `fields` are those of a message."""

    kind: Literal["prompt", "notify", "send", "measure", "commit", "rotate", "start", "stop"]
    argument: str = ""
    to: str = ""
    fields: tuple[tuple[str, Datum], ...] = ()


class Blocked(Value):
    """Why a target cannot be reached now. `condition` is the transition's condition in words."""

    target: str
    missing: tuple[str, ...] = ()
    invalid: tuple[str, ...] = ()
    awaiting: tuple[str, ...] = ()
    forbidden: tuple[str, ...] = ()
    condition: str = ""

    @property
    def is_empty(self) -> bool:
        """Whether there is no problem."""
        return not (self.missing or self.invalid or self.awaiting or self.forbidden)


class Move(Value):
    """The move that was decided: the record after it, what to do, and invariants that raise an alarm."""

    record: Record
    transition: Transition | None = None
    intents: tuple[Intent, ...] = ()
    alarms: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()


class Refusal(Value):
    """Why there is no move. `quarantine` names the invariant for which the agent is to be put into quarantine."""

    code: str
    message: str
    blocked: tuple[Blocked, ...] = ()
    allowed: tuple[str, ...] = ()
    quarantine: str = ""


Decision: TypeAlias = Move | Refusal
