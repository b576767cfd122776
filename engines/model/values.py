"""The bases of engine values, and the one codec: frozen structs, plain MessagePack.

A struct here is frozen, but that is shallow; the definition of a family also checks that every field type is immutable
(`definition`). Deeply immutable values can form no reference cycle, so the garbage collector need not look at them
(`gc=False`), which makes these structs a good deal cheaper to make and to drop. A `Map` travels as an array of [key,
value] pairs in its order, a `Blob` as bytes; both are decoded by their declared types, since otherwise the structs
inside would come back as lists.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, Generic, Self, TypeVar, dataclass_transform, get_args, get_origin

import msgspec

from .blob import Blob
from .conform import conforming_reader
from .map import Map

if TYPE_CHECKING:
    from .sending import Sent

T_co = TypeVar("T_co", covariant=True)


@dataclass_transform(frozen_default=True, field_specifiers=(msgspec.field,))
class Value(msgspec.Struct, frozen=True, gc=False):
    """A piece of state or of a message; encoded by field name. Members of a union of values need `tag=True`."""


@dataclass_transform(frozen_default=True, field_specifiers=(msgspec.field,))
class Message(msgspec.Struct, frozen=True, array_like=True, tag=True, gc=False):
    """A message between engines: encoded as [tag, fields in order], the tag being the class's name.

    Because fields go by place, a later version may only append fields, each with a default.
    """

    if TYPE_CHECKING:

        def _sent(self) -> tuple[Self, Sent[Self]]: ...


@dataclass_transform(frozen_default=True, field_specifiers=(msgspec.field,))
class Config(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """The parameters of a family, set at an engine's creation; unknown names are refused."""


def to_wire(value: object) -> object:
    """Hook of the encoders, for values MessagePack has no type for. Raises NotImplementedError, naming the type."""
    if isinstance(value, Map):
        return value.items()
    if isinstance(value, Blob):
        return value.view
    raise NotImplementedError(f"{type(value).__name__} is no value an engine may hold or send")


def from_wire(kind: Any, value: Any) -> Any:
    """Hook of the decoders: a `Map` or a `Blob` of the declared type. Raises msgspec.ValidationError as they do."""
    if get_origin(kind) is Map:
        key, item = get_args(kind)
        pairs = msgspec.convert(value, tuple[tuple[key, item], ...], dec_hook=from_wire)  # type: ignore[valid-type]
        return Map(pairs)
    if kind is Blob and isinstance(value, bytes):
        return Blob(value)
    raise msgspec.ValidationError(f"Expected `{getattr(kind, '__name__', kind)}`, got `{type(value).__name__}`")


class Decoder(Generic[T_co]):
    """Reads MessagePack as one type; `decode` raises msgspec.ValidationError (or DecodeError, its base)."""

    __slots__ = ("decode", "kind")

    decode: Callable[[bytes], T_co]

    def __init__(self, kind: Any) -> None:
        self.kind = kind
        self.decode = conforming_reader(kind, msgspec.msgpack.Decoder(kind, dec_hook=from_wire).decode)


def convert(value: object, kind: Any) -> Any:
    """Builtins, as decoded without a type, converted to `kind`. Raises msgspec.ValidationError."""
    return msgspec.convert(value, kind, dec_hook=from_wire)


encode: Final[Callable[[object], bytes]] = msgspec.msgpack.Encoder(enc_hook=to_wire).encode
"""The bytes of a message or any other value. Raises TypeError or NotImplementedError for anything else."""
