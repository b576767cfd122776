"""Triggers: a message arrived, or timers elapsed; always with the engine's time, configuration and environment.

Triggers have plain fields, not properties: guards read them for every message.
"""

from __future__ import annotations

from typing import Any, Generic, TypeAlias, TypeVar

import msgspec

from .environment import Environment, Handle, Numbered
from .names import child_name
from .ref import Ref

C_co = TypeVar("C_co", covariant=True)
M_co = TypeVar("M_co", covariant=True)
S_co = TypeVar("S_co", covariant=True)


class Configuration(msgspec.Struct, Generic[C_co], frozen=True):
    """What is fixed at an engine's creation: node, full name, parent's name, the family's parameters.

    `birth` counts how often this engine began from its initial state; above 1 it shows in its descendants' names.
    """

    node: str
    name: str
    parent: str | None = None
    params: C_co = None  # type: ignore[assignment]
    birth: int = 1

    def child(self, word: str) -> str:
        """The full name of the child under `word` ("worker", "worker.3")."""
        return child_name(self.name, self.birth, word)


Identity: TypeAlias = Configuration[Any]
"""The identity of an engine: its configuration, read for `.node`, `.name` and `.parent`."""


class Arrived(msgspec.Struct, Generic[M_co, C_co, S_co], frozen=True, gc=False):
    """A message arrived. `config` holds the family's parameters, `me` the engine's identity, `now_ns` its clock."""

    message: M_co
    sender: str
    mailbox: int
    now_ns: int
    config: C_co
    env: Environment[S_co]
    me: Identity

    def child(self, word: str | Numbered, after: int = 0) -> Ref[Any]:
        """The address of a child: of `word`, or of the next numbered one once `after` others are spawned before it."""
        return Ref(self.me.child(self.env.child_word(word, after)))


class Elapsed(msgspec.Struct, Generic[C_co, S_co], frozen=True):
    """Timers elapsed. `timer` is the one this rule takes, `handles` are all, by deadline; `now_ns` is when handled."""

    timer: Handle
    handles: tuple[Handle, ...]
    now_ns: int
    config: C_co
    env: Environment[S_co]
    me: Identity

    def child(self, word: str | Numbered, after: int = 0) -> Ref[Any]:
        """The address of a child, as `Arrived.child`."""
        return Ref(self.me.child(self.env.child_word(word, after)))


class Delivery(msgspec.Struct, Generic[M_co], frozen=True, gc=False):
    """Input of `step`: a message for a mailbox, with the sender the host stamped on it."""

    sender: str
    mailbox: int
    message: M_co


class Due(msgspec.Struct, frozen=True):
    """Input of `step`: the elapsed timers, as `due_timers` gives them."""

    handles: tuple[Handle, ...]


Cause: TypeAlias = Delivery[Any] | Due
