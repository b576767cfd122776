"""Large messages, with as few copies as their blobs allow: `in_parts` on the way out, `reading_in_place` on the way in.

A message with a `Blob` among its own fields is encoded around the blob: the bytes before it, the blob's own memory,
the bytes behind it. The transport copies the blob once, to where its receiver reads it. A receiver that gets a
memoryview instead of bytes decodes the message around the blob as well: the field is a view of the transport's memory.
The view is valid during the transition it came with; a blob put into state or stored is copied (`immutable.owned`).

Both work for fields that are declared `Blob` or `Blob | None` in the message itself. Deeper down, and as `bytes`, large
content is copied by the codec as usual. The bytes on the wire are the same either way; a law in the tests holds that.

The way in: a twin of each message type, in which `memoryview` stands for `Blob`. The codec makes memoryviews of its
input where they are declared, but would hand bytes to a hook.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from functools import reduce
from operator import or_
from types import UnionType
from typing import Any, Final, Union, get_args, get_origin

import msgspec

from .blob import Blob
from .forms import struct_fields
from .values import Decoder, Message, encode

LARGE_BYTES: Final = 1 << 15
"""The size from which a blob gets a part of its own."""

PARTS_MAX: Final = 64
"""Parts a transport takes; a message with more is encoded as one."""

FIXARRAY_MAX: Final = 15
BIN16_MAX: Final = 1 << 16

Part = bytes | memoryview


def in_parts(message: Message) -> list[Part] | None:
    """The bytes of a message with large blobs, in parts; None where `encode` does as well."""
    places = blob_places(type(message))
    if not places:
        return None
    fields = [getattr(message, name) for name in message.__struct_fields__]
    large = [place for place in places if fields[place] is not None and len(fields[place]) >= LARGE_BYTES]
    if not large or 2 * len(large) + 1 > PARTS_MAX:
        return None
    parts: list[Part] = []
    between = bytearray(_array_head(len(fields) + 1))
    between += encode(message.__struct_config__.tag)
    for place, value in enumerate(fields):
        if place in large:
            between += _bin_head(len(value))
            parts += (bytes(between), value.view)
            between = bytearray()
        else:
            between += encode(value)
    if between:
        parts.append(bytes(between))
    return parts


def reading_in_place(kinds: Iterable[type[Any]], decode: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """`decode`, for any of these message types; from a memoryview it leaves their blobs in place, if they have any."""
    found = list(kinds)
    if not any(map(blob_places, found)):
        return decode
    twins: dict[type[Any], tuple[type[Any], frozenset[int]]] = {}
    read: Callable[[Any], Any] | None = None

    def decode_either(payload: Any) -> Any:
        nonlocal read
        if payload.__class__ is not memoryview:
            return decode(payload)
        if read is None:
            twins.update((_twin(kind), (kind, blob_places(kind))) for kind in found)
            read = _decode_any(twins)
        return _made(read(payload), twins)

    return decode_either


def _decode_any(kinds: Iterable[type[Any]]) -> Callable[[Any], Any]:
    return Decoder[Any](reduce(or_, kinds)).decode


def _made(found: Any, twins: dict[type[Any], tuple[type[Any], frozenset[int]]]) -> Any:
    """The message that a twin stands for."""
    kind, places = twins[type(found)]
    values = (getattr(found, name) for name in found.__struct_fields__)
    return kind(
        *(Blob(value) if place in places and value is not None else value for place, value in enumerate(values))
    )


def _twin(kind: type[Any]) -> type[Any]:
    """The same type on the wire, with `memoryview` for `Blob`."""
    places = blob_places(kind)
    fields: list[Any] = []
    for place, field in enumerate(struct_fields(kind)):
        form: Any = field.type
        if place in places:
            form = memoryview if form is Blob else memoryview | None
        if field.default is not msgspec.NODEFAULT:
            default = None if place in places and field.default is None else field.default
            fields.append((field.name, form, _viewed(default)))
        elif field.default_factory is not msgspec.NODEFAULT:
            fields.append((field.name, form, msgspec.field(default_factory=field.default_factory)))
        else:
            fields.append((field.name, form))
    return msgspec.defstruct(kind.__name__, fields, array_like=True, tag=kind.__struct_config__.tag)


def _viewed(default: Any) -> Any:
    """A default as a twin holds it: a blob as its view."""
    return msgspec.field(default_factory=lambda: default.view) if isinstance(default, Blob) else default


_PLACES: Final[dict[type[Any], frozenset[int]]] = {}


def blob_places(kind: type[Any]) -> frozenset[int]:
    """Which fields of a message type are blobs."""
    known = _PLACES.get(kind)
    if known is not None:
        return known
    fields = struct_fields(kind) if isinstance(kind, type) and issubclass(kind, Message) else ()
    places = _PLACES[kind] = frozenset(place for place, field in enumerate(fields) if _is_blob(field.type))
    return places


def _is_blob(form: Any) -> bool:
    if form is Blob:
        return True
    return get_origin(form) in (Union, UnionType) and set(get_args(form)) == {Blob, type(None)}


def _array_head(count: int) -> bytes:
    return bytes([0x90 | count]) if count <= FIXARRAY_MAX else struct.pack(">BH", 0xDC, count)


def _bin_head(size: int) -> bytes:
    return struct.pack(">BH", 0xC5, size) if size < BIN16_MAX else struct.pack(">BI", 0xC6, size)
