"""Effects: the changes an action returns. Everything else stays; all effects happen, in order, or none.

An action returns one effect, a list or tuple of effects, or just the new state.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, Generic, NoReturn, TypeAlias, TypeVar

import msgspec

from .box import Box, StoredMessage
from .environment import Numbered, Timer
from .family_types import FamilyTypes
from .map import Map
from .sending import Sent

B = TypeVar("B")
C = TypeVar("C")
M = TypeVar("M")
S = TypeVar("S")
S_co = TypeVar("S_co", covariant=True)


class EffectError(Exception):
    """An effect that cannot happen; the transition fails and nothing changes."""


class Become(msgspec.Struct, Generic[S_co], frozen=True, gc=False):
    """The engine's new state."""

    state: S_co


class Put(msgspec.Struct, frozen=True, gc=False):
    """A mailbox's new state."""

    box: Box[Any, Any]
    state: Any

    if TYPE_CHECKING:

        def __init__(self, box: Box[Any, B], state: B) -> None: ...


class Store(msgspec.Struct, frozen=True):
    """Keep the message that arrived in its mailbox, for a later action to consume."""


class Consume(msgspec.Struct, frozen=True):
    """Take a stored message out of its mailbox. If the message is not stored, the transition fails."""

    stored: StoredMessage[Any]


class SetTimer(msgspec.Struct, frozen=True):
    """Set a timer, at an instant or after a delay (nanoseconds of the engine's clock). Exactly one of the two."""

    timer: Timer
    at_ns: int | None = None
    after_ns: int | None = None

    def __post_init__(self) -> None:
        if (self.at_ns is None) == (self.after_ns is None):
            raise ValueError("SetTimer takes exactly one of at_ns and after_ns")


class CancelTimer(msgspec.Struct, frozen=True):
    """Cancel a timer; nothing happens when it is not pending."""

    timer: Timer


class Spawn(msgspec.Struct, frozen=True):
    """Create a child engine: its family (or "package.module:NAME"), its word, parameters, maybe its first state."""

    family: FamilyTypes[Any, Any, Any, Any] | str
    child: str | Numbered
    config: Any = None
    state: Any = None

    if TYPE_CHECKING:

        def __init__(
            self,
            family: FamilyTypes[Any, C, S, Any] | str,
            child: str | Numbered,
            config: C | None = None,
            state: S | None = None,
        ) -> None: ...


class Forget(msgspec.Struct, frozen=True):
    """Forget an acquaintance; a strict family can then no longer send to it."""

    name: str


class Note:
    """A line for the log, with fields of plain values; not written in a replay."""

    __slots__ = ("fields", "text")

    text: str
    fields: Map[str, Any]

    def __init__(self, text: str, /, **fields: Any) -> None:
        object.__setattr__(self, "text", text)
        object.__setattr__(self, "fields", Map(fields))

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"Note is immutable: cannot set {name!r}")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Note) and (self.text, self.fields) == (other.text, other.fields)

    def __hash__(self) -> int:
        return hash((self.text, self.fields))

    def __repr__(self) -> str:
        return f"Note({self.text!r}, {self.fields!r})"


class Stop(msgspec.Struct, frozen=True):
    """End the engine: its timers are dropped, its later mail becomes dead letters."""


EFFECTS: Final = (
    Become,
    Put,
    Sent,
    Store,
    Consume,
    SetTimer,
    CancelTimer,
    Spawn,
    Forget,
    Note,
    Stop,
)

Effect: TypeAlias = Become[S] | Sent[M] | Put | Store | Consume | SetTimer | CancelTimer | Spawn | Forget | Note | Stop
"""One effect, in a family with state S that emits M."""

_Effects: TypeAlias = Sequence[Effect[S, M]] | Effect[S, M] | S

if TYPE_CHECKING:
    Effects: TypeAlias = _Effects[S, M]
    """What an action returns in a family with state S that emits M (`Never` for nothing)."""
else:

    class Effects:
        """What an action returns in a family with state S that emits M (`Never` for nothing)."""

        def __class_getitem__(cls, parts: Any) -> Any:
            if not isinstance(parts, tuple) or len(parts) != 2:
                raise TypeError("Effects takes two: the state, and what is emitted (Never for nothing)")
            return _Effects[parts]
