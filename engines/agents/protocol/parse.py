"""From the text of a file to a protocol, and what is wrong with the form. Never raises: what can be read is read.

`Reading` has both, and the structure of the file, by which `reformat` changes only what it understands.
"""

from __future__ import annotations

import re
from typing import Any, Final, NamedTuple

from engines.agents.bus import IDENTIFIER

from .fields import check_id, shown
from .findings import Finding, Related, Unreadable, found, in_order
from .front import read_front
from .items import Kind, read_item
from .machine_sections import STATES, TRANSITIONS
from .model import Place, Protocol
from .other_sections import LIMITS, MEASUREMENTS, MIGRATIONS, USES
from .phrases import RESERVED
from .source import Document, Head, Heading, Section, read_document
from .talk_sections import CONTEXT, INVARIANTS, MESSAGES, ROLES

BYTES_MAX: Final = 256 << 10
SECTIONS: Final = {
    "States": ("states", STATES),
    "Transitions": ("transitions", TRANSITIONS),
    "Roles": ("roles", ROLES),
    "Messages": ("messages", MESSAGES),
    "Context": ("context", CONTEXT),
    "Invariants": ("invariants", INVARIANTS),
    "Limits": ("limits", LIMITS),
    "Measurements": ("measurements", MEASUREMENTS),
    "Migrations": ("migrations", MIGRATIONS),
    "Uses": ("uses", USES),
}
"""The sections, in the order in which they are written; the attribute of a protocol, and its kind of items."""

DUPLICATES: Final = {"states": "E-DUP-STATE", "roles": "E-DUP-ROLE", "messages": "E-DUP-MSG", "context": "E-DUP-FIELD"}
UNNAMED: Final = "unnamed"
TITLE: Final = re.compile(r"Protocol:\s*(\S+)")
EMPTY: Final = Document(("",), 0, (), (), ())


class Reading(NamedTuple):
    """What a file says, and what is wrong with how it says it."""

    protocol: Protocol
    findings: tuple[Finding, ...]
    document: Document
    text: str
    file: str = ""

    @property
    def is_broken(self) -> bool:
        """Whether there is no protocol in it at all: the bytes cannot be read."""
        return self.document is EMPTY


def parse(text: str, file: str = "") -> Reading:
    """The protocol in a text. `file` is the name of the file it is from, if it has one."""
    length = len(text.encode(errors="replace"))
    problem = None
    if length > BYTES_MAX:
        problem = found("E-SIZE", Place(), f"file is {length} bytes, limit {BYTES_MAX}", "split it, and use 'uses'")
    elif "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        problem = found("E-ENC", Place(line, 1), "file has a NUL character", "save it as text in UTF-8")
    if problem is not None:
        return Reading(Protocol(_stem(file) or UNNAMED), (problem,), EMPTY, "", file)
    document = read_document(text)
    findings: list[Finding] = []
    attributes = read_front(document, findings)
    attributes["name"], attributes["title"] = _read_title(document, file, findings)
    for section in _known_sections(document, findings):
        attribute, kind = SECTIONS[section.name]
        attributes[attribute] = attributes.get(attribute, ()) + tuple(_read_items(section, kind, findings))
    for attribute, code in DUPLICATES.items():
        _check_names(attributes.get(attribute, ()), code, findings)
    for attribute in ("invariants", "measurements"):
        _check_names(attributes.get(attribute, ()), "E-DUP-ITEM", findings)
    _check_twice(attributes, findings)
    return Reading(Protocol(**attributes), in_order(findings), document, text, file)


def read_bytes(data: bytes, file: str = "") -> Reading:
    """The protocol in the bytes of a file."""
    try:
        return parse(data.decode(), file)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        problem = found("E-ENC", Place(line, 1), f"byte {error.start} is not UTF-8", "save the file as UTF-8")
        return Reading(Protocol(_stem(file) or UNNAMED), (problem,), EMPTY, "", file)


def _stem(file: str) -> str:
    """The name of a file without folders and `.md`; "" if it is no `.md` file with a name for a protocol."""
    base = file.replace("\\", "/").rpartition("/")[2]
    stem = base.removesuffix(".md")
    return stem if stem != base and IDENTIFIER.fullmatch(stem) else ""


def _read_title(document: Document, file: str, findings: list[Finding]) -> tuple[str, Place]:
    titles = document.titles
    right = [(one, match[1]) for one in titles if (match := TITLE.fullmatch(one.text))]
    if len(titles) != 1 or not right:
        shown_titles = ", ".join(shown(one.text) for one in titles[:3]) if titles else "none"
        place = titles[min(1, len(titles) - 1)].place if titles else Place(document.body + 1, 1)
        message = f"expected one heading '# Protocol: <name>', found {shown_titles}"
        findings.append(found("E-TITLE", place, message, "one heading of the first level names the protocol"))
        if not right:
            return _stem(file) or UNNAMED, place
    heading, name = right[0]
    try:
        check_id(_title_head(heading, name), RESERVED)
    except Unreadable as problem:
        findings.append(problem.finding)
        return _stem(file) or UNNAMED, heading.place
    if file.endswith(".md") and _stem(file) != name:
        base = file.replace("\\", "/").rpartition("/")[2]
        message = f"protocol is '{name}' but the file is '{base}'"
        findings.append(found("E-NAME-FILE", heading.place, message, f"rename the file to '{name}.md'"))
    return name, heading.place


def _title_head(heading: Heading, name: str) -> Head:
    column = heading.place.column + heading.text.index(name)
    return Head(name, ((0, heading.place.line, column),))


def _known_sections(document: Document, findings: list[Finding]) -> list[Section]:
    """The sections with a meaning; findings about those that are there twice, or may be misspelt."""
    known: dict[str, Section] = {}
    for section in document.sections:
        if section.name in known:
            line = known[section.name].place.line
            message = f"section '{section.name}' already defined at line {line}"
            related = (Related(line, known[section.name].place.column, "the first one"),)
            findings.append(found("E-DUP-SECTION", section.place, message, "join the two", related=related))
        elif section.name in SECTIONS:
            known[section.name] = section
        elif section.items:
            _check_typo(section, findings)
    return list(known.values())


def _check_typo(section: Section, findings: list[Finding]) -> None:
    """A list below a heading that is nearly a known one is documentation, and was perhaps not meant so."""
    for name in SECTIONS:
        bound = min(2, len(name) // 3)
        if distance(section.name.casefold()[:20], name.casefold(), bound) <= bound:
            message = f"section '{section.name}' is documentation; did you mean '{name}'?"
            hint = f"write '## {name}', or another heading"
            findings.append(
                found("W-SECTION-TYPO", section.place, message, hint, length=len(section.name), becomes=name)
            )
            return


def distance(one: str, other: str, bound: int) -> int:
    """The number of edits between two words (Levenshtein, 1966), or more than `bound`."""
    if abs(len(one) - len(other)) > bound:
        return bound + 1
    row = list(range(len(other) + 1))
    for at, char in enumerate(one, start=1):
        before, row = row, [at]
        for place, wanted in enumerate(other, start=1):
            row.append(min(before[place] + 1, row[-1] + 1, before[place - 1] + (char != wanted)))
    return row[-1]


def _read_items(section: Section, kind: Kind, findings: list[Finding]) -> list[Any]:
    if len(section.items) > kind.count_max:
        place = section.items[kind.count_max].head.place()
        message = f"{len(section.items)} items in section '{section.name}', limit {kind.count_max}"
        findings.append(found("E-LIMIT", place, message, "split the protocol, and use 'uses'"))
    values: list[Any] = []
    for item in section.items[: kind.count_max]:
        more = {"index": len(values)} if kind is TRANSITIONS else {}
        value = read_item(kind, item, findings, **more)
        if value is not None:
            values.append(value)
    return values


def _check_names(values: tuple[Any, ...], code: str, findings: list[Finding]) -> None:
    """Names that are there twice, or differ only in `-` and `_`."""
    seen: dict[str, tuple[str, Place]] = {}
    for value in values:
        name = value.id if hasattr(value, "id") else value.name
        alike = name.replace("-", "_")
        if alike not in seen:
            seen[alike] = (name, value.place)
            continue
        other, place = seen[alike]
        related = (Related(place.line, place.column, f"'{other}' is defined here"),)
        if other == name:
            message = f"'{name}' already defined at line {place.line}"
            hint = "remove one of them, or rename it"
        else:
            code, message = "E-ID", f"'{name}' and '{other}' of line {place.line} differ only in '-' and '_'"
            hint = "rename one of them"
        findings.append(found(code, value.place, message, hint, length=len(name), related=related))


def _check_twice(attributes: dict[str, Any], findings: list[Finding]) -> None:
    """Limits, uses and migrations that are there twice, and fields of one request or message."""
    keyed: list[tuple[tuple[Any, ...], str]] = [
        ((("limit", one.name), one.place), f"limit '{one.name}'") for one in attributes.get("limits", ())
    ]
    keyed += [((("use", one.name), one.place), f"use of '{one.name}'") for one in attributes.get("uses", ())]
    keyed += [
        ((("from", one.range, one.to), one.place), f"migration from {one.range}")
        for one in attributes.get("migrations", ())
    ]
    seen: dict[Any, Place] = {}
    for (key, place), words in keyed:
        if key in seen:
            message = f"{words} already given at line {seen[key].line}"
            findings.append(found("E-DUP-ITEM", place, message, "remove one of them"))
        seen.setdefault(key, place)
    groups = [one.fields for one in attributes.get("messages", ())]
    groups += [one.requires for one in attributes.get("transitions", ())]
    for fields in groups:
        _check_names(fields, "E-DUP-FIELD", findings)
