"""The interface of a family as plain data: accepted and emitted messages, parameters and state.

The supervisor and the command line never import a family; they know only this of it. It is also the test of a reload.
Fields go by place on the wire, so a later version may only append fields, each with a default; otherwise a message
queued in the old layout would be silently read as another one.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Annotated, Any, ForwardRef, Literal, get_args, get_origin, get_type_hints

import msgspec

from ..forms import ShortNames, is_union, members
from ..ref import ref_to
from ..view import view
from .schema import json_schema

if TYPE_CHECKING:
    from ..declaration import Declaration

Interface = dict[str, Any]


def interface_of(declared: Declaration[Any, Any, Any]) -> Interface:
    """The interface, made of dict, list, str, int, bool and None only.

    Keys: `name`, `version`, `device`, `config` and `state` (JSON schemas or None), `state_layout` {type, types},
    `boxes` [{number, accepts, lossy, stored_max}] and `emits`, both {tag: [[field, type, has default], …]}, `types`
    {name: {layout, tag, fields}} for the structs named in types, `enumerations` {name: [value, …]} and
    `members` {name: {member's name: value}} for the enumerations, `timers`, `rules`, `strategy`, `strict`, `spawns`.
    """
    types = Types()
    return {
        "name": declared.name,
        "version": declared.version,
        "device": not hasattr(declared, "rule_list"),
        "config": None if declared.config is None else json_schema(declared.config),
        "state": json_schema(declared.states) if hasattr(declared, "states") else None,
        "state_layout": _layout(getattr(declared, "states", None)),
        "boxes": [
            {
                "number": box.number,
                "accepts": _messages(box.accepts_types, types),
                "lossy": box.lossy,
                "stored_max": box.stored_max,
            }
            for box in declared.boxes.values()
        ],
        "emits": _messages(declared.emits_types, types),
        "types": types.structs(),
        "enumerations": types.enumerations(),
        "members": types.members(),
        "timers": [timer.name for timer in getattr(declared, "timers", ())],
        "rules": [rule.name for rule in getattr(declared, "rule_list", ())],
        "strategy": getattr(declared, "strategy", ""),
        "strict": getattr(declared, "strict", False),
        "spawns": [one if isinstance(one, str) else one.ref or one.name for one in getattr(declared, "spawns", ())],
    }


class Types:
    """Descriptions, by name, of the structs and enumerations that appear in texts of types."""

    def __init__(self) -> None:
        self.names = ShortNames()
        self.described: dict[str, Any] = {}

    def describe(self, kind: type[Any]) -> str:
        """The class's name here; its description is made once, and may mention the class itself."""
        name = self.names.of(kind)
        if name not in self.described:
            found: dict[str, Any] = {"layout": "value", "tag": None, "fields": []}
            self.described[name] = found
            if issubclass(kind, Enum):
                found["fields"] = [view(member) for member in kind]
                found["members"] = {name: view(member) for name, member in kind.__members__.items()}
            else:
                config = kind.__struct_config__
                found |= {"layout": "place" if config.array_like else "name", "tag": config.tag}
                found["fields"] = _fields(kind, self)
        return name

    def structs(self) -> dict[str, Any]:
        """The descriptions of structs, by name."""
        return {name: found for name, found in sorted(self.described.items()) if found["layout"] != "value"}

    def enumerations(self) -> dict[str, list[Any]]:
        """The values of enumerations, by name."""
        found = {name: found["fields"] for name, found in self.described.items() if found["layout"] == "value"}
        return dict(sorted(found.items()))

    def members(self) -> dict[str, dict[str, Any]]:
        """The members of enumerations by their names in the source, by name."""
        return {name: found["members"] for name, found in sorted(self.described.items()) if "members" in found}


def type_text(form: Any, types: Types) -> str:
    """A type as text ("bytes", "Ref[Pong]", "tuple[int, ...]"); the classes it names are described in `types`."""
    mark = ref_to(form)
    if mark is not None:
        return f"Ref[{_text_of_target(mark.message)}]"
    origin, parts = get_origin(form), get_args(form)
    if is_union(form):
        return " | ".join(type_text(part, types) for part in parts)
    if form in (None, type(None)):
        return "None"
    if origin is Annotated or hasattr(form, "__supertype__"):
        return type_text(parts[0] if parts else form.__supertype__, types)
    if origin is Literal:
        return " | ".join(dict.fromkeys(type(part).__name__ for part in parts))
    kind = origin or form
    described = isinstance(kind, type) and issubclass(kind, msgspec.Struct | Enum)
    name = types.describe(kind) if described else str(getattr(kind, "__name__", kind))
    if origin is None:
        return "..." if form is Ellipsis else name
    return f"{name}[{', '.join(type_text(part, types) for part in parts)}]"


def compatible(old: Interface, new: Interface) -> list[str]:
    """The reasons why `new` cannot take over from `old`, a sentence each; empty when it can.

    `new` must accept every message that `old` accepted, in the same mailbox and layout. Messages that both emit must
    have the same layout. Fields may be appended, with a default.
    """
    problems = []
    boxes = {box["number"]: box["accepts"] for box in new["boxes"]}
    for box in old["boxes"]:
        number = box["number"]
        accepted = boxes.get(number)
        if accepted is None:
            problems.append(f"mailbox {number} is gone")
            continue
        for tag, fields in box["accepts"].items():
            if tag not in accepted:
                problems.append(f"mailbox {number} no longer accepts {tag}")
            else:
                problems += _layout_problems(tag, fields, accepted[tag])
    for tag, fields in old["emits"].items():
        if tag in new["emits"]:
            problems += _layout_problems(tag, fields, new["emits"][tag])
    for name, described in old["types"].items():
        if name in new["types"]:
            problems += _type_problems(name, described, new["types"][name])
    for name, values in old["enumerations"].items():
        gone = [value for value in values if value not in new["enumerations"].get(name, values)]
        problems += [f"{name} no longer has the value {value!r}" for value in gone]
    return list(dict.fromkeys(problems))


def _layout_problems(tag: str, old: list[Any], new: list[Any]) -> list[str]:
    """Fields by place: each old one where it was, with its name and type; further ones with a default."""
    problems = []
    for place, (name, kind, _) in enumerate(old):
        if place >= len(new):
            problems.append(f"{tag}.{name} is gone")
        elif (new[place][0], new[place][1]) != (name, kind):
            problems.append(f"{tag} field {place} was {name}: {kind} and is {new[place][0]}: {new[place][1]}")
    problems += [
        f"{tag}.{name} was appended without a default" for name, _, has_default in new[len(old) :] if not has_default
    ]
    return problems


def _type_problems(name: str, old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    if old["tag"] != new["tag"]:
        return [f"{name} had the tag {old['tag']!r} and has {new['tag']!r}"]
    if old["layout"] != new["layout"]:
        return [f"{name} was encoded by {old['layout']} and is by {new['layout']}"]
    if old["layout"] == "place":
        return _layout_problems(name, old["fields"], new["fields"])
    before = {field: (kind, default) for field, kind, default in old["fields"]}
    problems = []
    for field, kind, has_default in new["fields"]:
        if field not in before and not has_default:
            problems.append(f"{name}.{field} was added without a default")
        elif field in before and before[field][0] != kind:
            problems.append(f"{name}.{field} was {before[field][0]} and is {kind}")
    names = {field for field, _, _ in new["fields"]}
    return problems + [f"{name}.{field} is gone" for field in before if field not in names]


def _layout(form: Any) -> dict[str, Any]:
    """A type as text, with every class it is made of; types with equal layouts are read alike."""
    types = Types()
    text = type_text(form, types)
    return {"type": text, "types": types.structs(), "enumerations": types.enumerations()}


def _messages(kinds: frozenset[type[Any]], types: Types) -> dict[str, Any]:
    tags = {str(kind.__struct_config__.tag): kind for kind in kinds}
    return {tag: _fields(kind, types) for tag, kind in sorted(tags.items())}


def _fields(kind: type[Any], types: Types) -> list[list[Any]]:
    hints = get_type_hints(kind, include_extras=True)
    return [
        [field.encode_name, type_text(hints[field.name], types), not field.required]
        for field in msgspec.structs.fields(kind)
    ]


def _text_of_target(message: Any) -> str:
    """The messages a reference takes, by name; or the name that is still text."""
    if isinstance(message, str | ForwardRef):
        return message if isinstance(message, str) else message.__forward_arg__
    return " | ".join(sorted(getattr(kind, "__name__", str(kind)) for kind in members(message))) or "None"
