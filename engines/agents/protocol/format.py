"""The one form of a protocol: from its values, or of a file that people wrote.

`render` writes a whole file. `reformat` changes a file line by line: each item that can be read is written in the one
form, in its place; everything else (prose, comments, code, blank lines, items with an error, the order of keys) is left
as it is. Both have the laws: what is read again is the same protocol, and a second time changes nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from msgspec.structs import replace

from .findings import Finding, Unreadable
from .items import Kind, read_item, read_key, write_lines
from .machine_sections import TRANSITIONS
from .model import Protocol
from .other_sections import write_import
from .parse import SECTIONS, Reading
from .source import MARKERS, Item, Section, comments

FRONT: tuple[str, ...] = ("version", "status", "owner", "policy", "language")


def format_protocol(subject: Protocol | Reading) -> str:
    """The text of a protocol in the one form; of a reading, with the prose that people wrote."""
    return render(subject) if isinstance(subject, Protocol) else reformat(subject)


def render(protocol: Protocol) -> str:
    """The text of a protocol, from its values alone."""
    front = [*_front(protocol)]
    lines = ["---", *front, "---"] if front else []
    lines += [f"# Protocol: {protocol.name}", ""]
    for name, (attribute, kind) in SECTIONS.items():
        values = getattr(protocol, attribute)
        if values:
            lines += [f"## {name}", *(line for value in values for line in write_lines(kind, value)), ""]
    return "\n".join(lines[:-1]) + "\n"


def _front(protocol: Protocol) -> Iterator[str]:
    plain = Protocol(protocol.name)
    for key in FRONT:
        value = getattr(protocol, key)
        if value != getattr(plain, key) or (key == "version" and protocol.has_version):
            yield f"{key}: {value}"
    if protocol.extends is not None:
        yield f"extends: {write_import(protocol.extends)}"


def whole(reading: Reading, protocol: Protocol) -> str:
    """The text of a protocol with what it extends, for a reader that has no other file: the prose that people wrote for
    it, and below it all items. A text that extends nothing is left as it is. What is read again is the protocol, and
    extends nothing."""
    if reading.protocol.extends is None:
        return reading.text
    document = reading.document
    known = [one for one in document.sections if one.name in SECTIONS]
    headings = {place.line - 1 for place in (*(one.place for one in document.titles), *(one.place for one in known))}
    items = {number for one in known for item in one.items for number in range(item.lines[0], item.end)}
    prose = [
        line
        for number, line in enumerate(document.lines)
        if number >= document.body and number not in headings and number not in items
    ]
    head, title, rest = render(replace(protocol, extends=None)).partition(f"# Protocol: {protocol.name}\n")
    said = re.sub(r"\n{3,}", "\n\n", "\n".join(prose)).strip("\n")
    return f"{head}{title}\n{said}\n{rest}" if said else head + title + rest


def reformat(reading: Reading) -> str:
    """The text of a file with its items in the one form."""
    if reading.is_broken:
        return reading.text
    lines: list[str | None] = list(reading.document.lines)
    known: dict[str, Section] = {}
    for section in reading.document.sections:
        if section.name in SECTIONS:
            known.setdefault(section.name, section)
    # From the end, so that the lines after an item have their form when it gets its own.
    for section in sorted(known.values(), key=lambda one: one.place.line, reverse=True):
        for item in reversed(section.items):
            _rewrite(SECTIONS[section.name][1], item, lines)
    text = "\n".join(line for line in lines if line is not None)
    return text.rstrip("\n") + "\n" if text.strip() else text


def _rewrite(kind: Kind, item: Item, lines: list[str | None]) -> None:
    """Put the one form of an item into its lines; None is a line that is no longer there."""
    findings: list[Finding] = []
    more = {"index": 0} if kind is TRANSITIONS else {}
    value = read_item(kind, item, findings, **more)
    if findings or value is None or any(_has_comment(one, lines) for one in (item, *item.children)):
        return
    if _would_swallow(item, lines):
        return
    _shift(item, lines, 2)
    _put(item, lines, f"- {kind.write(value)}")
    for child in item.children:
        _shift(child, lines, 4)
        try:
            key, read = read_key(kind, child)
        except Unreadable:
            raise AssertionError("the item was read") from None
        name = next(name for name, one in kind.keys.items() if one is key)
        _put(child, lines, f"  - {name}: {key.write(read)}".rstrip())


def _has_comment(item: Item, lines: list[str | None]) -> bool:
    """Whether a head has a comment, which its text does not have, or another item on its line."""
    text = "\n".join(line or "" for line in lines[item.lines[0] : item.lines[1]])
    return bool(comments(text))


def _would_swallow(item: Item, lines: list[str | None]) -> bool:
    """Whether what follows an item, and is not in it, is so far to the right that it would be in the shorter form."""
    after = next((line for line in lines[item.end :] if line is not None and line.strip()), "")
    return after.expandtabs(4).startswith("  ")


def _put(item: Item, lines: list[str | None], text: str) -> None:
    first, end = item.lines
    lines[first:end] = [text, *[None] * (end - first - 1)]


def _shift(item: Item, lines: list[str | None], column: int) -> None:
    """Move what is in an item, and is no head, to where its content begins now."""
    first = lines[item.lines[0]]
    if first is None:
        return
    before = len(MARKERS.match(first)[0].expandtabs(4))  # type: ignore[index]
    heads = {number for one in (item, *item.children) for number in range(*one.lines)}
    below = {number for one in item.children for number in range(one.lines[0], one.end)}
    for number in range(item.lines[1], item.end):
        line = lines[number]
        if line is None or not line.strip() or number in heads or number in below:
            continue
        bare = line.lstrip(" \t")
        indent = len(line[: len(line) - len(bare)].expandtabs(4))
        lines[number] = " " * max(indent + column - before, 0) + bare
