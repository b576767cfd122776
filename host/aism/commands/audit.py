"""`aism audit log` and `verify`: the audit repository, read without an engine."""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Final, NamedTuple

from engines.agents.audit import REFERENCE, TRAILER, is_single
from engines.agents.measuring.keeping import read_block
from host.aism.call import Call
from host.aism.node import root_of
from host.aism.output import Failure, Outcome, done, failed

PLACE: Final = Path("engine", "audit.git")
EVENTS: Final = Path("engine", "_measurements", "measurements.sqlite")
SHOWN: Final = 20
SHOWN_MAX: Final = 10_000
BEHIND_NS: Final = 180 * 10**9
"""Events younger than this may still wait to be committed."""

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
    """Whether the audit can be read, has no event twice, and has what measurement kept."""
    root = root_of(os.getcwd())
    seen: dict[tuple[Any, ...], int] = {}
    numbers: dict[str, set[int]] = {}
    count = 0
    try:
        for commit in commits(root, is_oldest_first=True):
            count += 1
            for event in commit.events:
                key = _key(event)
                seen[key] = seen.get(key, 0) + 1
                numbers.setdefault(event["family"], set()).add(event.get("number", 0))
    except ValueError as error:
        raise Failure("internal", "damaged", str(error), suggestions=[f"git -C {PLACE} fsck"]) from None
    twice = sum(times > 1 for times in seen.values())
    kept, why_not = _kept(root)
    missing = [event for event in kept if _key(event) not in seen]
    data = {
        "commits": count,
        "events": sum(seen.values()),
        "families": {name: _numbers(mine) for name, mine in sorted(numbers.items())},
        "twice": twice,
        "missing": len(missing),
        "examples": missing[:NAMED_MAX],
        "not_compared": why_not,
    }
    text = f"{count} commits, {data['events']} events, {twice} twice, {why_not or f'{len(missing)} missing'}"
    if twice or missing:
        return failed(Failure("validation", "audit", text, suggestions=["aism audit log"]), data)
    return done(data, text)


def _kept(root: Path) -> tuple[list[dict[str, Any]], str]:
    """What measurement kept, or why that cannot be read."""
    try:
        return list(_kept_events(root)), ""
    except sqlite3.OperationalError as error:
        if "locked" not in str(error):
            raise Failure("internal", "damaged", f"{root / EVENTS}: {error}") from None
        return [], "not compared with what measurement kept, which a running node has to itself: see `aism down`"


def _key(event: dict[str, Any]) -> tuple[Any, ...]:
    names = ("time_ns", "kind", "agent", "number")
    return tuple(event.get(name, 0 if name in ("time_ns", "number") else "") for name in names)


def _numbers(mine: set[int]) -> dict[str, int]:
    first, last = min(mine), max(mine)
    return {"first": first, "last": last, "left_out": last - first + 1 - len(mine)}


def _kept_events(root: Path) -> Iterator[dict[str, Any]]:
    """The events that measurement kept and that the audit should have: not those that may still wait. Requests are not
    in the audit.
    """
    path = root / EVENTS
    if not path.is_file():
        return
    begin_ns = _begin_ns(root)
    end_ns = time.time_ns() - BEHIND_NS
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as table:
        rows = table.execute("SELECT value FROM entries WHERE key >= x'65' AND key < x'66' ORDER BY key")
        for (value,) in rows:
            for event in read_block(value).events:
                if begin_ns <= event.time_ns < end_ns and event.source != "agent" and is_kept(event.kind):
                    yield {
                        "time_ns": event.time_ns,
                        "kind": event.kind,
                        "agent": event.agent,
                        "number": event.number,
                    }


def is_kept(kind: str) -> bool:
    """Whether the audit has all events of this kind."""
    return is_single(kind) or kind.startswith("message.")


def _begin_ns(root: Path) -> int:
    first = next(commits(root, is_oldest_first=True), None)
    return first.events[0].get("time_ns", 0) if first and first.events else time.time_ns()
