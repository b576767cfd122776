"""The outcomes of `step`, and the outputs of a transition, which the host performs in order after the commit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar

import msgspec

from .environment import Environment
from .interaction import Choose, Roll
from .map import Map

if TYPE_CHECKING:
    from .declaration import Declaration

S_co = TypeVar("S_co", covariant=True)


class Outgoing(msgspec.Struct, frozen=True, gc=False):
    """A message to `mailbox` of `target`; the host stamps the sender."""

    target: str
    mailbox: int
    message: Any


class Spawned(msgspec.Struct, frozen=True):
    """A child to create, once, under its full name: family reference, parameters, first state (None: the family's).

    `declared` is the family itself when the rule named it by object; its acquaintance is its parent.
    """

    name: str
    family: str
    params: Any
    state: Any
    declared: Declaration[Any, Any, Any] | None = None


class Noted(msgspec.Struct, frozen=True):
    """A line for the engine's log."""

    text: str
    fields: Map[str, Any]


class Stopped(msgspec.Struct, frozen=True):
    """The engine ends; always the last output."""


Output: TypeAlias = Outgoing | Spawned | Noted | Stopped
"""An output: the host performs it after the commit."""


class Committed(msgspec.Struct, Generic[S_co], frozen=True, gc=False):
    """The transition happened: the environment after it, its outputs, the names of the rules that ran.

    `ignored` counts elapsed timers that no rule took.
    """

    env: Environment[S_co]
    outputs: tuple[Output, ...] = ()
    labels: tuple[str, ...] = ()
    ignored: int = 0


class Suspended(msgspec.Struct, frozen=True):
    """The engine waits for an answer. To go on, call `step` again with the same arguments and one more answer."""

    question: Choose[Any] | Roll[Any]
    labels: tuple[str, ...] = ()


class Stored(msgspec.Struct, Generic[S_co], frozen=True):
    """No rule took the message: it is stored in its mailbox now, and nothing else changed."""

    env: Environment[S_co]


class Overflow(msgspec.Struct, frozen=True):
    """The message could not be stored, because its mailbox is full; nothing changed."""

    mailbox: int
    stored_max: int


class Failed(msgspec.Struct, frozen=True):
    """A guard, an action or the commit raised; nothing changed. `error` is one line, `traceback` the full text."""

    error: str
    traceback: str


class Refused(msgspec.Struct, frozen=True):
    """The mailbox does not accept the message; no rule saw it."""

    reason: str


Outcome: TypeAlias = Committed[S_co] | Suspended | Stored[S_co] | Overflow | Failed | Refused
"""The outcome of `step`."""
