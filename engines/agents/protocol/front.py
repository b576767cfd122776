"""The front matter: flat, `key: value`, where a value is a word, a quoted text, or a list of these."""

from __future__ import annotations

import re
from typing import Any, Final, NamedTuple, get_args

from .fields import shown
from .findings import Finding, Unreadable, found
from .model import Import, Place, Policy, Status
from .other_sections import read_import
from .source import Document, Head
from .versions import read_version

KEYS: Final = ("version", "status", "extends", "uses", "owner", "policy", "language")
LANGUAGE: Final = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*", re.ASCII)
LINE: Final = re.compile(r"(\s*)([^\s:#][^:]*?)\s*:(?:\s+(.*?))?\s*$")
COMMENT: Final = re.compile(r"\s*(?:#.*)?$")


class Entry(NamedTuple):
    """A key, and its values: one, or those of a list."""

    key: str
    place: Place
    values: list[Head]
    is_list: bool


def read_front(document: Document, findings: list[Finding]) -> dict[str, Any]:
    """The attributes of a protocol that its front matter gives."""
    entries: dict[str, Entry] = {}
    for entry in _entries(document, findings):
        if entry.key not in KEYS:
            _complain(findings, entry.place, f"unknown key {shown(entry.key)}", f"keys: {', '.join(KEYS)}")
        elif entry.key in entries:
            _complain(findings, entry.place, f"'{entry.key}' is given twice", "remove one of them")
        else:
            entries[entry.key] = entry
    attributes: dict[str, Any] = {}
    for entry in entries.values():
        try:
            _read_entry(entry, attributes, findings)
        except Unreadable as problem:
            findings.append(problem.finding)
    return attributes


def _complain(findings: list[Finding], place: Place, why: str, hint: str = "") -> None:
    findings.append(found("E-FRONT", place, f"front matter line {place.line}: {why}", hint))


def _entries(document: Document, findings: list[Finding]) -> list[Entry]:
    entries: list[Entry] = []
    for number in range(1, max(document.body - 1, 1)):
        line = document.lines[number]
        place = Place(number + 1, len(line) - len(line.lstrip()) + 1)
        item = re.match(r"\s*-\s+(.*?)\s*$", line)
        match = LINE.match(line)
        if COMMENT.fullmatch(line):
            continue
        if item and entries and entries[-1].is_list:
            entries[-1].values.append(_scalar(item[1], number + 1, item.start(1) + 1))
        elif match is None:
            _complain(findings, place, f"expected 'key: value', found {shown(line)}")
        elif match[1]:
            _complain(findings, place, "values are not nested", "use a list: key: [a, b]")
        else:
            entries.append(_entry(match, number + 1))
    return entries


def _entry(match: re.Match[str], line: int) -> Entry:
    place = Place(line, match.start(2) + 1)
    text = match[3] or ""
    column = match.start(3) + 1
    if not text:
        return Entry(match[2], place, [], True)
    if text.startswith("[") and text.endswith("]"):
        inner = Head(text, ((0, line, column),)).cut(1, len(text) - 1)
        return Entry(match[2], place, [_scalar(one.text, line, one.place().column) for one in inner.split()], True)
    return Entry(match[2], place, [_scalar(text, line, column)], False)


def _scalar(text: str, line: int, column: int) -> Head:
    if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"":
        return Head(text[1:-1], ((0, line, column + 1),))
    text = re.sub(r"\s+#.*$", "", text)
    return Head(text, ((0, line, column),))


def _read_entry(entry: Entry, attributes: dict[str, Any], findings: list[Finding]) -> None:
    """Put what an entry says into the attributes. Raises Unreadable."""
    key = entry.key
    if key == "uses":
        attributes["uses"] = tuple(map(read_import, entry.values))
        return
    if len(entry.values) != 1 or entry.is_list:
        why = f"front matter line {entry.place.line}: '{key}' has one value"
        raise Unreadable("E-FRONT", entry.place, why, "write 'key: value'")
    value = entry.values[0]
    match key:
        case "version":
            attributes["has_version"] = True
            if read_version(value.text) is None:
                hint = "a version is three numbers, for example 1.0.0"
                raise Unreadable(
                    "E-VERSION", value.place(), f"{shown(value.text)} is no version", hint, length=len(value.text)
                )
            attributes["version"] = value.text
        case "extends":
            found_import: Import = read_import(value)
            attributes["extends"] = found_import
        case "status" | "policy":
            choices = get_args(Status if key == "status" else Policy)
            if value.text not in choices:
                why = f"front matter line {entry.place.line}: {shown(value.text)} is no {key}"
                raise Unreadable("E-FRONT", value.place(), why, f"one of {', '.join(choices)}", length=len(value.text))
            attributes[key] = value.text
        case "language":
            attributes["language"] = value.text
            if not LANGUAGE.fullmatch(value.text):
                message = f"{shown(value.text)} is no language tag"
                hint = "write for example en, de or pt-BR"
                findings.append(found("W-LOCALE", value.place(), message, hint, length=len(value.text)))
        case _:
            attributes[key] = value.text
