"""The interface of a family as plain data: what may be sent to it, what it sends, its parameters and state.

The supervisor and the command line never import a family; this is what they know of it. Also the test of a reload:
fields go by place on the wire, so a later version may only append fields, each with a default, or a message queued in
the old layout would be read as another one, in silence.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, get_args, get_origin, get_type_hints

import msgspec

from .forms import is_union
from .ref import ref_to
from .schema import json_schema

if TYPE_CHECKING:
    from .declaration import Declaration

Interface = dict[str, Any]


def interface_of(declared: Declaration[Any, Any, Any]) -> Interface:
    """The interface, made of dict, list, str, int, bool and None only.

    Keys: `name`, `version`, `device`, `config` and `state` (JSON schemas or None), `state_layout` {type, types},
    `boxes` [{number, accepts, lossy, stored_max}] and `emits`, both {tag: [[field, type, has default], …]}, `types`
    {name: {layout, tag, fields}} for the structs named in types, `timers`, `rules`, `strategy`, `strict`, `spawns`.
    """
    types: dict[str, Any] = {}
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
        "types": dict(sorted(types.items())),
        "timers": [timer.name for timer in getattr(declared, "timers", ())],
        "rules": [rule.name for rule in getattr(declared, "rule_list", ())],
        "strategy": getattr(declared, "strategy", ""),
        "strict": getattr(declared, "strict", False),
        "spawns": [one if isinstance(one, str) else one.ref or one.name for one in getattr(declared, "spawns", ())],
    }


def type_text(form: Any, types: dict[str, Any] | None = None) -> str:
    """A type as text ("bytes", "Ref[Pong]", "tuple[int, ...]"); structs it names are described in `types`."""
    mark = ref_to(form)
    if mark is not None:
        return f"Ref[{_text_of_target(mark.message)}]"
    origin, parts = get_origin(form), get_args(form)
    if is_union(form):
        return " | ".join(type_text(part, types) for part in parts)
    if form in (None, type(None)):
        return "None"
    if form is Ellipsis:
        return "..."
    if hasattr(form, "__metadata__"):
        return type_text(parts[0], types)
    if origin is None:
        if types is not None and isinstance(form, type) and issubclass(form, msgspec.Struct):
            _describe(form, types)
        return str(getattr(form, "__name__", form))
    name = getattr(origin, "__name__", str(origin))
    return f"{name}[{', '.join(part if isinstance(part, str) else type_text(part, types) for part in parts)}]"


def compatible(old: Interface, new: Interface) -> list[str]:
    """Why `new` cannot take over from `old`, a sentence each; empty when it can.

    Everything the old one accepted is accepted in the same mailbox, in the same layout; so is what both emit. Fields
    may be appended, with a default.
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
    """A type as text, with every struct it is made of; equal layouts are read alike."""
    types: dict[str, Any] = {}
    return {"type": type_text(form, types), "types": dict(sorted(types.items()))}


def _messages(kinds: frozenset[type[Any]], types: dict[str, Any]) -> dict[str, Any]:
    tags = {str(kind.__struct_config__.tag): kind for kind in kinds}
    return {tag: _fields(kind, types) for tag, kind in sorted(tags.items())}


def _fields(kind: type[Any], types: dict[str, Any]) -> list[list[Any]]:
    hints = get_type_hints(kind, include_extras=True)
    return [
        [field.encode_name, type_text(hints[field.name], types), not field.required]
        for field in msgspec.structs.fields(kind)
    ]


def _describe(kind: type[Any], types: dict[str, Any]) -> None:
    """Put a struct's description into `types`, once; itself may be among its own fields' types."""
    if kind.__name__ in types:
        return
    config = kind.__struct_config__
    layout = "place" if config.array_like else "name"
    types[kind.__name__] = {"layout": layout, "tag": config.tag, "fields": []}
    types[kind.__name__]["fields"] = _fields(kind, types)


def _text_of_target(message: Any) -> str:
    return message if isinstance(message, str) else type_text(message)
