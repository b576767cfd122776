"""Mailboxes: declared by a family with `Box`, held by the environment as `Mailbox`.

Mail that has arrived and was not triggered yet is *waiting* and not here. A mailbox holds its state and its stored
messages: those that no rule took, until an action consumes them.
"""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING, Any, Final, Generic

import msgspec

from .forms import classes, members
from .large import reading_in_place
from .place import Place, caller
from .ref import Ref
from .values import Decoder

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import TypeForm, TypeVar

    M_co = TypeVar("M_co", covariant=True)
    B = TypeVar("B", default=None)
    B_co = TypeVar("B_co", covariant=True)
else:
    from typing import TypeVar

    M_co, B, B_co = TypeVar("M_co"), TypeVar("B"), TypeVar("B_co")

NUMBER_MAX: Final = 255
"""Mailbox numbers index a tuple of the environment, gaps included."""

STORED_MAX: Final = 1024
"""Messages a mailbox stores, unless the box sets another bound; one more is a dead letter `stored_overflow`."""


class StoredMessage(msgspec.Struct, Generic[M_co], frozen=True, gc=False):
    """A message that no rule took, or that an action stored. `number` counts the mailbox's stored messages for ever."""

    number: int
    sender: str
    mailbox: int
    message: M_co
    now_ns: int


class Mailbox(msgspec.Struct, Generic[M_co, B_co], frozen=True, gc=False):
    """A mailbox's state, its stored messages in order of arrival, and how many it ever stored."""

    state: B_co
    stored: tuple[StoredMessage[M_co], ...] = ()
    count: int = 0


class Box(Generic[M_co, B]):
    """The declaration of a mailbox.

    Args:
        number: its place in addresses (name#number); 0 is the default mailbox. At most 255.
        accepts: the message types it takes; none may be taken by another mailbox of the family.
        start: its initial state, a value.
        states: the type of its state when that is wider than the start value's class: a union, or a `Map[K, V]`.
        lossy: its mail may be dropped, oldest first, when the node file asks for that policy.
        stored_max: bound of its stored messages, unless the node file gives another.
    """

    __slots__ = (
        "_decode",
        "accepts",
        "accepts_types",
        "lossy",
        "number",
        "place",
        "start",
        "state_types",
        "states",
        "stored_max",
    )

    if TYPE_CHECKING:

        def __init__(
            self,
            number: int,
            *,
            accepts: TypeForm[M_co],
            start: B = ...,
            states: TypeForm[B] = ...,
            lossy: bool = False,
            stored_max: int = STORED_MAX,
        ) -> None: ...

    else:

        def __init__(
            self,
            number: Any,
            *,
            accepts: Any,
            start: Any = None,
            states: Any = None,
            lossy: Any = False,
            stored_max: Any = STORED_MAX,
        ) -> None:
            self.number = number
            self.accepts = accepts
            self.accepts_types = frozenset(members(accepts))
            self.start = start
            self.states = type(start) if states is None else states
            self.state_types = classes(self.states)
            self.lossy = lossy
            self.stored_max = stored_max
            self.place = caller(1)
            self._decode = None

    number: int
    accepts: Any
    accepts_types: frozenset[type[Any]]
    start: B
    states: Any
    state_types: frozenset[type[Any]]
    lossy: bool
    stored_max: int
    place: Place
    _decode: Callable[[bytes], M_co] | None

    @property
    def decode(self) -> Callable[[bytes], M_co]:
        """Reads a message off the wire. It raises msgspec.ValidationError for anything this mailbox does not accept.

        Given a memoryview, which must not change while a decoded message refers to it, it leaves large blobs in place.
        """
        if self._decode is None:
            self._decode = reading_in_place(self.accepts_types, Decoder[M_co](self.accepts).decode)
        return self._decode

    def at(self, name: str) -> Ref[M_co]:
        """The reference to this mailbox of the engine `name`."""
        return Ref(name if self.number == 0 else f"{name}#{self.number}")

    def bounded(self, stored_max: int) -> Box[M_co, B]:
        """The same mailbox with another bound of its stored messages."""
        box = copy(self)
        box.stored_max = stored_max
        return box

    def __repr__(self) -> str:
        return f"Box({self.number})"
