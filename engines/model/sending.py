"""The effect of nearly every action: a message to an address."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

import msgspec

from .ref import Ref

M_co = TypeVar("M_co", covariant=True)
N = TypeVar("N")
N_co = TypeVar("N_co", covariant=True)
T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


if TYPE_CHECKING:

    class Sent(Generic[M_co]):
        """What `Send` makes. The checker sees a function and this class, because it would infer a constructor's type
        from what the action may return: the union of all it emits, which no single reference takes.
        """

        target: Ref[Any]
        message: M_co

        def __init__(self, target: Ref[Any], message: M_co) -> None: ...

    class _Sendable(Protocol[N_co, T_co]):
        def _sent(self) -> tuple[N_co, T_co]: ...

    def Send(target: Ref[N], message: _Sendable[N, T]) -> T:
        """A message to an address that takes it; it leaves once the transition is committed."""
        ...

else:

    class Send(msgspec.Struct, Generic[M_co], frozen=True, gc=False):
        """A message to an address that takes it; it leaves once the transition is committed."""

        target: Ref[M_co]
        message: M_co

    Sent = Send
