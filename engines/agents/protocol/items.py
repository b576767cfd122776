"""How the items of each section are read and written: a head, and keys below it.

    - deep_work (safe): Focused task execution        head
      - max_duration: 2h → distill                    key: value

A `Kind` has, for one section, how its heads are read to the attributes of a value and written from it, and the same for
each key. So the parser and the formatter share one table, and cannot disagree about the form.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from difflib import get_close_matches
from typing import Any, Final, NamedTuple

from .fields import shown
from .findings import Finding, Unreadable
from .source import Head, Item

CHARS_MAX: Final = 4000
"""So long is an item at most, without the keys below it."""


class Key(NamedTuple):
    """A key of an item: the attribute, and how its value is read and written. One that repeats has a tuple.

    `held` takes the value from an item where it is not the attribute, or None where the item has none.
    """

    attribute: str
    read: Callable[[Head], Any]
    write: Callable[[Any], str]
    repeats: bool = False
    held: Callable[[Any], Any] | None = None


class Kind(NamedTuple):
    """The items of a section. `noun` is what one is called, and `form` how its head is written."""

    section: str
    noun: str
    form: str
    make: Callable[..., Any]
    read: Callable[[Head], dict[str, Any]]
    write: Callable[[Any], str]
    keys: dict[str, Key]
    count_max: int


def read_item(kind: Kind, item: Item, findings: list[Finding], **more: Any) -> Any:
    """The value of an item, or None if its head cannot be read. A key that cannot be read is left out."""
    attributes = _read_head(kind, item.head, findings)
    if attributes is None:
        return None
    given: dict[str, Head] = {}
    for child in item.children:
        try:
            key, value = read_key(kind, child)
            if key.attribute in given and not key.repeats:
                line = given[key.attribute].place().line
                raise Unreadable(
                    "E-DUP-ITEM", child.head.place(), f"{shown(child.head.text)}: already given at line {line}"
                )
        except Unreadable as problem:
            findings.append(problem.finding)
            continue
        given[key.attribute] = child.head
        attributes[key.attribute] = attributes.get(key.attribute, ()) + value if key.repeats else value
    return kind.make(**attributes, **more)


def read_key(kind: Kind, item: Item) -> tuple[Key, Any]:
    """A key, and its value. Raises Unreadable."""
    _check_length(item.head)
    name, rest = item.head.partition(":")
    key = kind.keys.get(" ".join(name.text.split()))
    if key is None or rest is None:
        known = ", ".join(kind.keys) or "none"
        near = get_close_matches(name.text[:40], kind.keys, n=1)
        hint = f"did you mean '{near[0]}'?" if near and key is None else f"keys of a {kind.noun}: {known}"
        message = f"cannot read this key of a {kind.noun}: expected 'key: value', found {shown(item.head.text)}"
        raise Unreadable("E-ITEM", item.head.place(), message, hint, length=len(name.text))
    if item.children:
        below = item.children[0].head
        raise Unreadable("E-ITEM", below.place(), f"nothing is read below '{name.text}'", "write it on one line")
    return key, key.read(rest)


def _check_length(head: Head) -> None:
    """What is found by trying takes its time by the square of the length."""
    if len(head.text) > CHARS_MAX:
        message = f"item has {len(head.text)} characters, limit {CHARS_MAX}"
        raise Unreadable("E-SIZE", head.place(), message, "write long texts between the lists")


def _read_head(kind: Kind, head: Head, findings: list[Finding]) -> dict[str, Any] | None:
    try:
        _check_length(head)
        return kind.read(head)
    except Unreadable as problem:
        findings.append(problem.finding)
        return None


def write_lines(kind: Kind, value: Any) -> Iterator[str]:
    """The lines of an item, as `read_item` reads them, keys in the order of the table."""
    yield f"- {kind.write(value)}"
    for name, key in kind.keys.items():
        held = key.held(value) if key.held else getattr(value, key.attribute)
        if held is None or (key.held is None and held == default_of(value, key.attribute)):
            continue
        for one in [(each,) for each in held] if key.repeats else [held]:
            yield f"  - {name}: {key.write(one)}".rstrip()


def default_of(value: Any, attribute: str) -> Any:
    """What an attribute has where an item does not say it."""
    fields = type(value).__struct_fields__
    defaults = type(value).__struct_defaults__
    at = fields.index(attribute) - (len(fields) - len(defaults))
    return defaults[at] if at >= 0 else None


def cannot_read(kind: str, form: str, head: Head, token: str) -> Unreadable:
    """An item of the wrong form; `token` is what is there instead."""
    message = f"cannot read this {kind}: expected '{form}', found {shown(token)}"
    return Unreadable("E-ITEM", head.place(), message, f"write '- {form}'", length=len(head.text))


def headed(head: Head) -> tuple[Head, str]:
    """The part before the colon, and the text for people after it."""
    first, rest = head.partition(":")
    return first, rest.prose() if rest is not None else ""


def with_text(head: str, text: str) -> str:
    """The head as `headed` reads it."""
    return f"{head}: {text}" if text else head
