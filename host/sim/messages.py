"""Messages from text: `TimeStampRequest hash=0x1337 destination=bob`, as `enginehost send` and scripts write them.

A value is JSON where that fits its field (`3`, `true`, `["a"]`), else text; bytes are `0x…`, durations and sizes may
have a unit. A reference that is left out is the address of the sender.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, get_args

import msgspec

from engines.model import Message
from engines.model.ref import ref_to
from host.config.convert import ConversionError, to_typed
from host.config.suggest import did_you_mean
from host.sim.families import AtHand, SimError


def message_from_text(
    family: AtHand, engine: str, mailbox: int, tag: str, fields: Iterable[str], sender: str, awaited: str = ""
) -> Any:
    """A message for a mailbox of an engine of this family. Raises `SimError`.

    A reference that is left out is `sender`; one that may be left out, only if it takes the message `awaited`.
    """
    box = family.boxes.get(mailbox)
    if box is None:
        raise SimError(f"{engine} has no mailbox {mailbox}; it has {', '.join(map(str, family.boxes))}")
    kinds = {_tag(kind): kind for kind in box.accepts_types}
    kind = kinds.get(tag)
    if kind is None:
        guess = did_you_mean(tag, kinds) or f"it takes {', '.join(sorted(kinds))}"
        raise SimError(f"mailbox {mailbox} of {engine} takes no {tag}: {guess}")
    return _made(kind, tag, _values(kind, tag, fields, sender, awaited))


def _values(kind: type[Message], tag: str, fields: Iterable[str], sender: str, awaited: str) -> dict[str, Any]:
    declared = {field.name: field for field in msgspec.structs.fields(kind)}
    given: dict[str, Any] = {}
    for argument in fields:
        name, equals, text = argument.partition("=")
        if not equals:
            raise SimError(f"{tag}: `{argument}` is not field=value")
        if name not in declared:
            raise SimError(f"{tag} has no field {name}; its fields: {', '.join(declared) or 'none'}")
        given[name] = _value(text, declared[name].type)
    for name, field in declared.items():
        is_asked = ref_to(field.type) is not None if field.required else _takes(field.type, awaited)
        if name not in given and is_asked:
            given[name] = sender
    return given


def _takes(form: Any, awaited: str) -> bool:
    """Whether a field may be a reference that takes this message."""
    found = [mark for part in get_args(form) if (mark := ref_to(part)) is not None]
    names = [getattr(mark.message, "__name__", str(mark.message)) for mark in found]
    return awaited in names


def _value(text: str, form: Any) -> Any:
    """What was written: as JSON, if that is a value of the field, else as text."""
    try:
        value = msgspec.json.decode(text)
        to_typed(value, form)
    except (msgspec.DecodeError, ConversionError, UnicodeEncodeError):
        return text
    return value


def _made(kind: type[Message], tag: str, given: dict[str, Any]) -> Any:
    try:
        return to_typed(given, kind)
    except ConversionError as error:
        raise SimError(f"{tag}: {error}") from None


def _tag(kind: type[Any]) -> str:
    return str(kind.__struct_config__.tag)
