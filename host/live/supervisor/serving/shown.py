"""Decodes the bytes of a message for display: the same form as `engines.model.view` gives the message itself.

The wire form alone is ambiguous: a `Map` is a list of pairs there, a struct by place a list of values, a struct's type
its first item. The field's declared type decides, as text from the sender's interface. A value that does not fit its
type (an interface of another version, an unknown sender) is shown as received, and is never an error.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from engines.model import view
from host.live.supervisor.serving.fields import FieldKind, FieldProblem, parse_kind


class Unfit(Exception):
    """A value is not of its declared type."""


def show_message(interface: Mapping[str, Any] | None, payload: bytes) -> dict[str, Any]:
    """A message as plain data: its type and its fields, by name where the sender's interface has them."""
    tag, *values = msgspec.msgpack.decode(payload)
    declared = (interface or {}).get("emits", {}).get(tag, [])
    types = (interface or {}).get("types", {})
    fields = [*declared, *([f"field{n}", "", False] for n in range(len(declared), len(values)))]
    pairs = zip(fields, values, strict=False)
    return {"type": tag, **{name: _shown(text, value, types) for (name, text, _), value in pairs}}


def _shown(text: str, value: Any, types: Mapping[str, Any]) -> Any:
    try:
        return _typed(parse_kind(text), value, types)
    except (Unfit, FieldProblem):
        return view(value)


def _typed(kind: FieldKind, value: Any, types: Mapping[str, Any]) -> Any:
    match kind.name:
        case "|":
            return _first(kind.parts, value, types)
        case "Map":
            return _map(kind, value, types)
        case "tuple":
            return _tuple(kind, value, types)
        case name if name in types:
            return _struct(types[name], value, types)
        case "None" if value is not None:
            raise Unfit
        case _ if isinstance(value, list | dict):
            raise Unfit
        case _:
            return view(value)


def _first(parts: tuple[FieldKind, ...], value: Any, types: Mapping[str, Any]) -> Any:
    """The form by the first part that fits; at most one part of a union is an untagged list on the wire."""
    for part in parts:
        try:
            return _typed(part, value, types)
        except Unfit:
            continue
    raise Unfit


def _map(kind: FieldKind, value: Any, types: Mapping[str, Any]) -> Any:
    """An object if all keys are text, otherwise the pairs."""
    if not isinstance(value, list) or not all(isinstance(pair, list) and len(pair) == 2 for pair in value):
        raise Unfit
    forms = kind.parts or (FieldKind("Any"), FieldKind("Any"))
    pairs = [[_item(form, each, types) for form, each in zip(forms, pair, strict=True)] for pair in value]
    return dict(pairs) if all(isinstance(key, str) for key, _ in value) else pairs


def _tuple(kind: FieldKind, value: Any, types: Mapping[str, Any]) -> list[Any]:
    if not isinstance(value, list):
        raise Unfit
    if kind.parts and kind.parts[-1].name == "...":
        return [_item(kind.parts[0], each, types) for each in value]
    if kind.parts and len(kind.parts) != len(value):
        raise Unfit
    return [
        _item(form, each, types)
        for form, each in zip(kind.parts or [FieldKind("Any")] * len(value), value, strict=True)
    ]


def _struct(described: Mapping[str, Any], value: Any, types: Mapping[str, Any]) -> dict[str, Any]:
    tag, declared = described["tag"], {name: parse_kind(text) for name, text, _ in described["fields"]}
    head = {} if tag is None else {"type": tag}
    if described["layout"] == "name":
        if not isinstance(value, dict) or not value.keys() <= {*declared, *head} or value.get("type") != tag:
            raise Unfit
        given = value
    else:
        if not isinstance(value, list) or (tag is not None and value[:1] != [tag]):
            raise Unfit
        given = dict(zip(declared, value[len(head) :], strict=False))
    return head | {name: _item(kind, given[name], types) for name, kind in declared.items() if name in given}


def _item(kind: FieldKind, value: Any, types: Mapping[str, Any]) -> Any:
    return view(value) if kind.name == "Any" else _typed(kind, value, types)
