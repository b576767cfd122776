"""JSON schemas (draft 2020-12) of parameters and state: the values a node file may give, and what completion offers.

`msgspec.json.schema` would do, but cannot render a default that is a `Map`. JSON schema has bytes as base64 strings; a
reference has the messages it takes under `x-ref`; a `Map` is an array of [key, value] pairs.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Annotated, Any, Final, Literal, get_args, get_origin, get_type_hints

import msgspec

from ..blob import Blob
from ..forms import ShortNames, is_union
from ..map import Map
from ..ref import ref_to
from ..view import view

Schema = dict[str, Any]

PLAIN: Final[dict[Any, Schema]] = {
    None: {"type": "null"},
    type(None): {"type": "null"},
    bool: {"type": "boolean"},
    int: {"type": "integer"},
    float: {"type": "number"},
    str: {"type": "string"},
    bytes: {"type": "string", "contentEncoding": "base64"},
    Blob: {"type": "string", "contentEncoding": "base64"},
}

BOUNDS: Final = {
    "gt": "exclusiveMinimum",
    "ge": "minimum",
    "lt": "exclusiveMaximum",
    "le": "maximum",
    "multiple_of": "multipleOf",
    "pattern": "pattern",
    "title": "title",
    "description": "description",
}


def json_schema(form: Any) -> Schema:
    """The schema of a type; structs are under `$defs`. A type that no value has is accepted with any value."""
    defs = Defs()
    schema = _schema(form, defs)
    return {**schema, "$defs": dict(sorted(defs.found.items()))} if defs.found else schema


class Defs:
    """The schemas of structs, by name."""

    def __init__(self) -> None:
        self.names = ShortNames()
        self.found: dict[str, Schema] = {}


def _schema(form: Any, defs: Defs) -> Schema:
    origin, parts = get_origin(form), get_args(form)
    mark = ref_to(form)
    if mark is not None:
        return {"type": "string", "x-ref": str(getattr(mark.message, "__name__", mark.message))}
    if form in PLAIN:
        return dict(PLAIN[form])
    if origin is Annotated:
        return _bounded(_schema(parts[0], defs), parts[1:])
    if is_union(form):
        return {"anyOf": [_schema(part, defs) for part in parts]}
    if origin is Literal:
        return {"enum": list(parts)}
    if origin in CONTAINERS:
        return CONTAINERS[origin](parts, defs)
    if hasattr(form, "__supertype__"):
        return _schema(form.__supertype__, defs)
    return _class_schema(origin or form, defs)


def _class_schema(kind: Any, defs: Defs) -> Schema:
    if isinstance(kind, type) and issubclass(kind, Enum):
        return {"title": kind.__name__, "enum": [member.value for member in kind]}
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        name = defs.names.of(kind)
        if name not in defs.found:
            defs.found[name] = {}  # it may mention itself
            defs.found[name] = _struct_schema(kind, defs)
        return {"$ref": f"#/$defs/{name}"}
    return {}


def _struct_schema(kind: type[msgspec.Struct], defs: Defs) -> Schema:
    """A struct as an object by name, or as an array by place."""
    config = kind.__struct_config__
    hints = get_type_hints(kind, include_extras=True)
    fields = msgspec.structs.fields(kind)
    schemas = [_field_schema(_schema(hints[field.name], defs), field) for field in fields]
    required = [field.encode_name for field in fields if field.required]
    schema: Schema = {"title": kind.__name__}
    if kind.__doc__:
        schema["description"] = kind.__doc__.splitlines()[0]
    tag = [{"enum": [config.tag]}] if config.tag is not None else []
    if config.array_like:
        return {**schema, "type": "array", "prefixItems": tag + schemas, "minItems": len(required) + len(tag)}
    named = {config.tag_field: tag[0]} if config.tag_field is not None else {}
    named |= {field.encode_name: found for field, found in zip(fields, schemas, strict=True)}
    schema |= {"type": "object", "properties": named, "required": [name for name in named if name in required]}
    if config.tag_field is not None:
        schema["required"].insert(0, config.tag_field)
    return {**schema, "additionalProperties": False} if config.forbid_unknown_fields else schema


def _field_schema(schema: Schema, field: msgspec.structs.FieldInfo) -> Schema:
    if field.default is msgspec.NODEFAULT:
        return schema
    return {**schema, "default": view(field.default)}


def _tuple_schema(parts: tuple[Any, ...], defs: Defs) -> Schema:
    if len(parts) == 2 and parts[1] is Ellipsis:
        return {"type": "array", "items": _schema(parts[0], defs)}
    items = [_schema(part, defs) for part in parts if part != ()]
    return {"type": "array", "prefixItems": items, "minItems": len(items), "maxItems": len(items)}


def _map_schema(parts: tuple[Any, ...], defs: Defs) -> Schema:
    return {"type": "array", "items": _tuple_schema(parts, defs)}


def _bounded(schema: Schema, marks: tuple[Any, ...]) -> Schema:
    """The schema with the bounds of `msgspec.Meta`."""
    for mark in marks:
        if isinstance(mark, msgspec.Meta):
            length = "Items" if schema.get("type") == "array" else "Length"
            names = {**BOUNDS, "min_length": f"min{length}", "max_length": f"max{length}"}
            found = {key: getattr(mark, name) for name, key in names.items()}
            schema = {**schema, **{key: value for key, value in found.items() if value is not None}}
    return schema


CONTAINERS: Final[dict[Any, Callable[[tuple[Any, ...], Defs], Schema]]] = {
    tuple: _tuple_schema,
    Map: _map_schema,
}
