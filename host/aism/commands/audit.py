"""`aism audit log` and `verify`: the audit repository, read without an engine."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Final, NamedTuple

from engines.agents.audit import REFERENCE, TRAILER, compared, key_of
from host.aism.call import Call
from host.aism.node import root_of, running_file
from host.aism.output import Failure, Outcome, done, failed
from host.aism.recorded import RecordedEvents

PLACE: Final = Path("engine", "audit.git")
SHOWN: Final = 20
SHOWN_MAX: Final = 10_000
BEHIND_NS: Final = 180 * 10**9
"""Events of a running node that are younger may still wait to be committed."""

NAMED_MAX: Final = 20


class Commit(NamedTuple):
    """A commit of the audit: its id, first line, time, the events that it added, and the number of each family then."""

    id: str
    subject: str
    time_s: int
    events: tuple[dict[str, Any], ...]
    numbers: dict[str, int]


def commits(root: Path, *, is_oldest_first: bool) -> Iterator[Commit]:
    """The commits. Raises Failure without an audit or without pygit2; `ValueError` for a damaged one."""
    try:
        import pygit2
    except ImportError:
        hint = "install the extra: pip install 'enginehost[agents]'"
        raise Failure("unavailable", "no_pygit2", "pygit2 is not installed", suggestions=[hint]) from None
    if not (root / PLACE).is_dir():
        raise Failure("unknown", "no_audit", f"there is no audit at {root / PLACE}")
    repository = pygit2.Repository(str(root / PLACE))
    if REFERENCE not in repository.references:
        return
    order = pygit2.enums.SortMode.TOPOLOGICAL
    if is_oldest_first:
        order |= pygit2.enums.SortMode.REVERSE
    try:
        for commit in repository.walk(repository.references[REFERENCE].target, order):
            yield _read(repository, commit)
    except (pygit2.GitError, KeyError) as error:
        raise ValueError(f"the audit cannot be read: {error}") from None


def _read(repository: Any, commit: Any) -> Commit:
    parent = commit.parents[0].tree if commit.parents else None
    diff = commit.tree.diff_to_tree(parent, swap=True) if parent else commit.tree.diff_to_tree(swap=True)
    events: list[dict[str, Any]] = []
    for delta in diff.deltas:
        events += [json.loads(line) for line in repository[delta.new_file.id].data.decode().splitlines()]
    numbers = {family: int(number) for family, number in TRAILER.findall(commit.message)}
    return Commit(str(commit.id), commit.message.split("\n")[0], commit.commit_time, tuple(events), numbers)


def log(call: Call) -> Outcome:
    """The newest commits, those of one agent if one is named."""
    root = root_of(os.getcwd())
    agent = call.arguments.get("--agent")
    count = call.arguments.get("-n") or str(SHOWN)
    if not count.isdecimal() or not 0 < int(count) <= SHOWN_MAX:
        raise Failure("usage", "count", f"-n is a number from 1 to {SHOWN_MAX:,}")
    every = (
        one
        for one in commits(root, is_oldest_first=False)
        if not agent or any(event.get("agent") == agent for event in one.events)
    )
    found = list(islice(every, int(count)))
    shown = [
        {"commit": one.id, "subject": one.subject, "time_s": one.time_s, "events": list(one.events)} for one in found
    ]
    text = "\n".join(f"{one.id[:10]}  {_clock(one.time_s)}  {one.subject}" for one in found)
    return done({"commits": shown}, text or "nothing yet")


def _clock(seconds: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(seconds))


def verify(_call: Call) -> Outcome:
    """Whether the audit can be read, and is what the journal of the engine says, each event once and in its order."""
    root = root_of(os.getcwd())
    audited: list[dict[str, Any]] = []
    count = 0
    try:
        for commit in commits(root, is_oldest_first=True):
            count += 1
            audited += commit.events
    except ValueError as error:
        raise Failure("internal", "damaged", str(error), suggestions=[f"git -C {PLACE} fsck"]) from None
    numbers: dict[str, set[int]] = {}
    for event in audited:
        numbers.setdefault(event["family"], set()).add(event.get("number", 0))
    twice = len(audited) - len({key_of(event) for event in audited})
    record = RecordedEvents(root)
    found = compared(record.events(), audited, time.time_ns() - BEHIND_NS if running_file(root) else None)
    if found.waiting:
        record.notes.append(f"{len(found.waiting)} recent events may still wait to be committed")
    wrong = {name: getattr(found, name) for name in found._fields if name != "waiting"}
    data = {
        "commits": count,
        "events": len(audited),
        "families": {name: _numbers(mine) for name, mine in sorted(numbers.items())},
        "twice": twice,
        "recorded": record.count,
        **{name: len(events) for name, events in wrong.items()},
        "examples": {name: events[:NAMED_MAX] for name, events in wrong.items() if events},
        "not_compared": record.notes,
    }
    amounts = ", ".join(f"{amount} {name}" for name, amount in (("twice", twice), *((n, data[n]) for n in wrong)))
    text = f"{count} commits, {len(audited)} events, {record.count} in the journal: {amounts}"
    if twice or any(wrong.values()):
        return failed(Failure("validation", "audit", text, suggestions=["aism audit log"]), data)
    return done(data, "\n".join([text, *record.notes]))


def _numbers(mine: set[int]) -> dict[str, int]:
    first, last = min(mine), max(mine)
    return {"first": first, "last": last, "left_out": last - first + 1 - len(mine)}
