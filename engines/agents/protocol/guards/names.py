"""The names that guards may use, with their types, and what is wrong with a guard that uses them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from typing import Final, Literal, TypeAlias

from engines.agents.protocol.model import Field, FieldType, Protocol

from .syntax import Among, Atom, Between, Compare, Constant, Expr, GuardError, Name, Present, Term, Truth, atoms, terms

Class: TypeAlias = Literal["bool", "number", "text", "duration", "size", "time", "list"]

CLASSES: Final[dict[str, Class]] = {
    "bool": "bool",
    "int": "number",
    "number": "number",
    "percent": "number",
    "string": "text",
    "text": "text",
    "enum": "text",
    "id": "text",
    "digest": "text",
    "path": "text",
    "duration": "duration",
    "size": "size",
    "time": "time",
    "list": "list",
}
"""The class of each kind of type and of literal; values of one class compare with each other."""

ORDERED: Final = ("number", "duration", "size", "time")
_COUNT: Final = FieldType("int", low=0)
_DURATION: Final = FieldType("duration", low=0)
_TIME: Final = FieldType("time", low=0)

FACTS: Final[dict[str, Field]] = {
    name: Field(name, kind, is_optional=is_optional)
    for name, kind, is_optional in (
        ("measure.context_percent", FieldType("number", low=0), True),
        ("measure.context_tokens", _COUNT, True),
        ("measure.tokens_in_state", _COUNT, True),
        ("measure.tokens_in_session", _COUNT, True),
        ("measure.cost", FieldType("number", low=0), True),
        ("measure.tool_errors", _COUNT, True),
        ("measure.cpu_seconds", FieldType("number", low=0), True),
        ("measure.rss", FieldType("size", low=0), True),
        ("state.visits", FieldType("int", low=1), False),
        ("state.since", _TIME, False),
        ("state.last", FieldType("string"), True),
        ("inbox.unread", _COUNT, True),
        ("inbox.oldest", _TIME, True),
        ("agent.restarts", _COUNT, True),
        ("agent.session_age", _DURATION, True),
        ("agent.role", FieldType("id"), False),
        ("time.hour", FieldType("int", low=0, high=23), False),
        ("time.weekday", FieldType("int", low=1, high=7), False),
    )
}
"""The facts without arguments. An optional one may be unknown. Times are UTC; weekday 1 is Monday."""

CALLS: Final = {"inbox.of_type": ("message",), "peers.count": ("role", "state")}
"""The facts with arguments, and what each argument is; all are counts."""


def known_names(protocol: Protocol, requires: Iterable[Field] = ()) -> Mapping[str, Field]:
    """The facts that a guard in this protocol may use; `requires` are the fields of its transition's request.

    `Field.is_optional` says that the fact may be unknown. Facts with arguments are not in it: see `CALLS`.
    """
    known = dict(FACTS)
    for measured in protocol.measurements:
        known.setdefault(f"measure.{measured.id}", Field(measured.id, FieldType("number"), is_optional=True))
    for one in protocol.context:
        is_optional = one.is_optional or one.default is None
        known[f"context.{one.name}"] = Field(one.name, one.type, is_optional)
    for one in requires:
        known[f"request.{one.name}"] = one
    return known


def problems(expr: Expr, known: Mapping[str, Field], protocol: Protocol | None = None) -> tuple[GuardError, ...]:
    """What is wrong with the names and types in a guard: E-GUARD-NAME and E-GUARD-TYPE, by offset.

    The arguments of `peers.count` and `inbox.of_type` are looked up in `protocol`, if it is given.
    """
    return tuple(sorted(_problems(expr, known, protocol), key=lambda one: one.offset))


def value_problems(
    term: Term, target: FieldType, known: Mapping[str, Field], protocol: Protocol | None = None
) -> tuple[GuardError, ...]:
    """What is wrong with a term as the value of a field of this type."""
    if isinstance(term, Name) and (wrong := list(_name_problems(term, known, protocol))):
        return tuple(wrong)
    needed, found = CLASSES[target.kind], class_of(term, known)
    if found == needed or (found == "number" and needed == "size"):
        return ()
    return (GuardError("E-GUARD-TYPE", f"the field is a {needed}, the value a {found}", term.offset),)


def class_of(term: Term, known: Mapping[str, Field]) -> Class | None:
    """What a term is compared with; None for an unknown name."""
    if isinstance(term, Constant):
        return CLASSES[term.kind]
    if term.function:
        return "number" if term.function == "count" else "duration"
    kind = type_of(term, known)
    return None if kind is None else CLASSES[kind.kind]


def type_of(name: Name, known: Mapping[str, Field]) -> FieldType | None:
    """The type of a term that is a name; None for an unknown one."""
    if name.function == "elapsed":
        return FieldType("duration")
    if name.id in CALLS:
        return _COUNT
    kind = known[name.id].type if name.id in known else None
    if name.function == "count":
        return _COUNT if kind is None else FieldType("int", kind.low or 0, kind.high)
    return kind


def _problems(expr: Expr, known: Mapping[str, Field], protocol: Protocol | None) -> Iterator[GuardError]:
    for atom in atoms(expr):
        names = [term for term in terms(atom) if isinstance(term, Name)]
        wrong = [problem for name in names for problem in _name_problems(name, known, protocol)]
        yield from wrong or _type_problems(atom, known)


def _name_problems(name: Name, known: Mapping[str, Field], protocol: Protocol | None) -> Iterator[GuardError]:
    if name.id in CALLS:
        yield from _argument_problems(name, CALLS[name.id], protocol)
    elif name.id not in known:
        yield _unknown(name.id, (*known, *CALLS), name.offset)
        return
    elif name.arguments:
        yield GuardError("E-GUARD-TYPE", f"'{name.id}' takes no arguments", name.offset)
    plain = Name(name.id, name.arguments)
    of = class_of(plain, known)
    if name.function == "count" and of not in ("list", "text"):
        yield GuardError("E-GUARD-TYPE", f"count() is of a list or a text, and '{name.id}' is a {of}", name.offset)
    if name.function == "elapsed" and of != "time":
        yield GuardError("E-GUARD-TYPE", f"elapsed() is since a time, and '{name.id}' is a {of}", name.offset)


def _unknown(name: str, known: Iterable[str], offset: int) -> GuardError:
    family = name.partition(".")[0] + "."
    like = sorted(one for one in known if one.startswith(family)) or sorted(
        {one.partition(".")[0] + ".*" for one in known}
    )
    near = nearest(name, known)
    shown = ", ".join(like[:8]) + (", ..." if len(like) > 8 else "")
    hint = f"did you mean '{near}'?" if near else ""
    return GuardError("E-GUARD-NAME", f"unknown name '{name}'; known: {shown}", offset, hint)


def nearest(name: str, known: Iterable[str]) -> str:
    """The known name that is most like this one, or ""."""
    found = get_close_matches(name[:64], sorted(known), n=1, cutoff=0.7)
    return found[0] if found else ""


def _argument_problems(name: Name, kinds: tuple[str, ...], protocol: Protocol | None) -> Iterator[GuardError]:
    if len(name.arguments) != len(kinds):
        yield GuardError("E-GUARD-TYPE", f"'{name.id}' takes ({', '.join(kinds)})", name.offset)
        return
    if protocol is None:
        return
    ids = {
        "role": [one.id for one in protocol.roles],
        "state": [one.id for one in protocol.states],
        "message": [one.id for one in protocol.messages],
    }
    for argument, kind in zip(name.arguments, kinds, strict=True):
        imported = protocol.uses or protocol.extends
        if argument not in ids[kind] and not imported and not (kind == "message" and argument == "note"):
            near = nearest(argument, ids[kind])
            hint = f"did you mean '{near}'?" if near else ""
            yield GuardError("E-GUARD-NAME", f"{kind} '{argument}' is not defined here", name.offset, hint)


def _type_problems(atom: Atom, known: Mapping[str, Field]) -> Iterator[GuardError]:
    match atom:
        case Compare():
            yield from _pair(atom.left, atom.right, atom.operator not in ("==", "!="), known)
        case Among():
            for choice in atom.choices:
                yield from _pair(atom.term, choice, False, known)
        case Between():
            yield from _pair(atom.term, atom.low, True, known)
            yield from _pair(atom.term, atom.high, True, known)
        case Truth() if class_of(atom.term, known) != "bool":
            of = class_of(atom.term, known)
            yield GuardError("E-GUARD-TYPE", f"a guard is true or false, and this is a {of}", atom.offset)
        case Truth() | Present():
            pass


def _pair(left: Name, right: Term, is_ordered: bool, known: Mapping[str, Field]) -> Iterator[GuardError]:
    mine, other = class_of(left, known), class_of(right, known)
    is_size = {mine, other} == {"number", "size"}
    if (mine != other and not is_size) or "list" in (mine, other):
        hint = "count() gives the number of items" if "list" in (mine, other) else ""
        yield GuardError("E-GUARD-TYPE", f"cannot compare a {mine} with a {other}", right.offset, hint)
    elif is_ordered and mine not in ORDERED:
        yield GuardError("E-GUARD-TYPE", f"a {mine} has no order; use == or !=", right.offset)
    elif isinstance(right, Constant) and not left.function:
        yield from _choice(left, right, type_of(left, known))


def _choice(name: Name, constant: Constant, kind: FieldType | None) -> Iterator[GuardError]:
    if kind is not None and kind.kind == "enum" and constant.value not in kind.choices:
        near = nearest(str(constant.value), kind.choices)
        hint = f'did you mean "{near}"?' if near else ""
        message = f"'{name.id}' is never \"{constant.value}\"; it is one of {', '.join(kind.choices)}"
        yield GuardError("E-GUARD-TYPE", message, constant.offset, hint)
