"""What the audit says: which events are commits of their own, their files, first lines and text. Pure.

`engines/devices/git_audit.py` writes it; `aism audit` reads it, and compares it with the journal of the engine.
"""

from __future__ import annotations

import json
import re
from collections.abc import Container, Iterable, Mapping
from typing import Any, Final, NamedTuple, TypeAlias

import msgspec

from .messages import Happened

REFERENCE: Final = "refs/heads/audit"
BATCHES: Final = "batches/latest.jsonl"
SEQ: Final = "Aism-Seq"
NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}", re.ASCII)
LATE: Final = "Aism-Late: yes"
"""The last line of a commit whose events were missed at first, so that they may come behind later ones."""

TRAILER: Final = re.compile(rf"^{SEQ}: (\S+) (\d+)$", re.MULTILINE)
SINGLE: Final = ("transition", "changed", "enrolled", "retired", "migrated", "override", "protocol", "gap")
SINGLE_FIRST: Final = ("life", "session", "alarm", "prompt")
"""First words of kinds such as `life.started` that are commits of their own."""


class AuditEntry(msgspec.Struct, frozen=True):
    """An event and the family it is of."""

    family: str
    event: Happened


def is_single(kind: str) -> bool:
    """Whether an event of this kind is a commit of its own."""
    return kind in SINGLE or kind.partition(".")[0] in SINGLE_FIRST


def text_of(entry: AuditEntry) -> str:
    """An event as one line of JSON, with the names of its fields; those that say nothing are left out."""
    event = entry.event
    known = {name: value for name in event.__struct_fields__ if (value := getattr(event, name))}
    known["family"] = entry.family
    if event.value is not None:
        known["value"] = event.value
    if event.attributes:
        known["attributes"] = dict(event.attributes)
    return msgspec.json.encode(known, order="sorted").decode()


def key_of_entry(entry: AuditEntry) -> Key:
    """As `key_of`."""
    return entry.family, entry.event.number, entry.event.time_ns


def path_of(entry: AuditEntry) -> str:
    """The file of the repository that a single event is in."""
    event = entry.event
    name = dict(event.attributes).get("name", "")
    if event.kind == "protocol" and NAME.fullmatch(name):
        return f"protocols/{name}.json"
    return f"agents/{event.agent}/latest.json" if NAME.fullmatch(event.agent) else "node/latest.json"


def subject_of(entry: AuditEntry) -> str:
    """The first line of a commit."""
    event = entry.event
    about = dict(event.attributes)
    name, version = about.get("name", "") or event.protocol, about.get("version", "") or event.version
    move = f"{about['before']} → {event.state}" if about.get("before") and event.state else event.state
    what = about.get("code", "") or about.get("reason", "") if event.kind.startswith("alarm") else move
    if event.kind in ("protocol", "migrated"):
        what = f"{name} {version}".strip()
    parts = (event.agent, event.kind, what or about.get("code", "") or name)
    line = " ".join(part for part in parts if part)
    return "".join(one if one.isprintable() else " " for one in line)[:100]


def with_numbers(numbers: dict[str, int], entries: Iterable[AuditEntry]) -> dict[str, int]:
    """The greatest number of each family, with these events; a device that numbers anew begins with 1."""
    found = dict(numbers)
    for one in entries:
        number = one.event.number
        found[one.family] = number if number == 1 else max(found.get(one.family, 0), number)
    return found


Line: TypeAlias = Mapping[str, Any]
"""An event as `text_of` writes it, read again."""

Key: TypeAlias = tuple[Any, ...]
"""What an event is known by: its family, number and time."""


def lines_of(repository: Any, commit: Any) -> list[dict[str, Any]]:
    """The events that a commit added, as `text_of` wrote them. Raises KeyError, ValueError, and as pygit2."""
    parent = commit.parents[0].tree if commit.parents else None
    diff = commit.tree.diff_to_tree(parent, swap=True) if parent else commit.tree.diff_to_tree(swap=True)
    texts = [repository[delta.new_file.id].data for delta in diff.deltas]
    return [json.loads(line) for text in texts for line in text.splitlines()]


class AuditComparison(NamedTuple):
    """What an audit lacks of the recorded events, has otherwise, has and never happened, and has in another order.

    `waiting` are events that it lacks so far, and that are too young to be missed.
    """

    missing: list[Line]
    different: list[Line]
    unknown: list[Line]
    misplaced: list[Line]
    waiting: list[Line]


def compared(
    recorded: Iterable[Line], audited: Iterable[Line], young_ns: int | None = None, late: Container[Key] = ()
) -> AuditComparison:
    """The audit against the record, which may begin later than the audit, and leaves out families without a journal.

    Events from `young_ns` on are not missed: they may still be on their way. Those of `late` may be in any order.
    """
    expected: dict[Key, Line] = {}
    first_ns: dict[str, int] = {}
    for one in recorded:
        expected[key_of(one)] = one
        first_ns.setdefault(one["family"], one.get("time_ns", 0))
    found = AuditComparison([], [], [], [], [])
    seen: set[Key] = set()
    newest: dict[str, int] = {}
    for one in audited:
        family, number = one["family"], one.get("number", 0)
        if family not in first_ns or one.get("time_ns", 0) < first_ns[family]:
            continue
        seen.add(key_of(one))
        wanted = expected.get(key_of(one))
        if wanted is None:
            found.unknown.append(one)
        elif wanted != one:
            found.different.append(one)
        if is_single(one.get("kind", "")) and key_of(one) not in late:
            if number < newest.get(family, 0):
                found.misplaced.append(one)
            newest[family] = max(number, newest.get(family, 0))
    for key, one in expected.items():
        if key not in seen:
            is_young = young_ns is not None and one.get("time_ns", 0) >= young_ns
            (found.waiting if is_young else found.missing).append(one)
    return found


def key_of(line: Line) -> Key:
    """What an event is known by: a family whose journal was deleted numbers anew, at another time."""
    return line["family"], line.get("number", 0), line.get("time_ns", 0)
