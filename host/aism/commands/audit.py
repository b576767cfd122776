"""`aism audit log`, `verify` and `repair`: the audit repository, without an engine."""

from __future__ import annotations

import os
import time
from itertools import islice
from typing import Any, Final

from engines.agents.audit import Key, compared, key_of
from host.aism.audited import BEHIND_NS, PLACE, commits
from host.aism.call import Call
from host.aism.catching_up import catch_up
from host.aism.node import root_of, running_file
from host.aism.output import Failure, Outcome, done, failed
from host.aism.recorded import RecordedEvents

SHOWN: Final = 20
SHOWN_MAX: Final = 10_000
NAMED_MAX: Final = 20


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
    late: set[Key] = set()
    count = 0
    try:
        for commit in commits(root, is_oldest_first=True):
            count += 1
            audited += commit.events
            late |= {key_of(one) for one in commit.events if commit.is_late}
    except ValueError as error:
        raise Failure("internal", "damaged", str(error), suggestions=[f"git -C {PLACE} fsck"]) from None
    numbers: dict[str, set[int]] = {}
    for event in audited:
        numbers.setdefault(event["family"], set()).add(event.get("number", 0))
    twice = len(audited) - len({key_of(event) for event in audited})
    record = RecordedEvents(root)
    found = compared(record.events(), audited, time.time_ns() - BEHIND_NS if running_file(root) else None, late)
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
        hint = (
            "'aism audit repair', while the engine is down, adds what is missing; 'aism audit log' shows what is there"
        )
        return failed(Failure("validation", "audit", text, suggestions=[hint]), data)
    return done(data, "\n".join([text, *record.notes]))


def repair(_call: Call) -> Outcome:
    """Add what the journal has and the audit lacks, however old."""
    root = root_of(os.getcwd())
    if running_file(root) is not None:
        raise Failure("conflict", "running", "the engine writes to its audit while it runs", suggestions=["aism down"])
    added = catch_up(root, is_whole=True)
    return done({"added": added}, f"{added} events added")


def _numbers(mine: set[int]) -> dict[str, int]:
    first, last = min(mine), max(mine)
    return {"first": first, "last": last, "left_out": last - first + 1 - len(mine)}
