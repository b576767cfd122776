"""References: typed addresses. A message that asks for an answer carries one; its type says which answers it takes.

At run time a reference is a `str`, "name" or "name#mailbox", so it costs nothing and travels as text. For the checker
it is a class of its own, contravariant: a reference that takes A and B may stand where only A is sent. The message type
is kept in field annotations as `Annotated[str, RefTo(M)]`, by which the model finds the references inside a message.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Generic, TypeVar, get_args, get_origin

M_contra = TypeVar("M_contra", contravariant=True)


class RefTo:
    """The mark of a reference in an annotation, with the message type (or its name) it takes."""

    __slots__ = ("message",)

    def __init__(self, message: Any) -> None:
        self.message = message

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RefTo) and self.message == other.message

    def __hash__(self) -> int:
        return hash((RefTo, self.message))

    def __repr__(self) -> str:
        return f"RefTo({getattr(self.message, '__name__', self.message)!r})"


if TYPE_CHECKING:

    class Ref(Generic[M_contra]):
        """The address of an engine, or of one of its mailboxes, that takes messages of type M."""

        def __init__(self, address: str, /) -> None: ...

else:

    class Ref:
        """The address of an engine, or of one of its mailboxes, that takes messages of type M."""

        def __class_getitem__(cls, message: Any) -> Any:
            return Annotated[str, RefTo(message)]

        def __new__(cls, address: str, /) -> str:  # noqa: D102
            if not issubclass(type(address), str):  # its text might hold where it lies in memory
                raise TypeError(f"a reference is made from an address, a str, not from {type(address).__name__}")
            return str(address)


def ref_to(annotation: Any) -> RefTo | None:
    """The mark, when `annotation` is a reference."""
    if get_origin(annotation) is Annotated:
        return next((mark for mark in get_args(annotation)[1:] if isinstance(mark, RefTo)), None)
    return None
