"""An engine that does what the value law refuses: in logs of before there was one, it did."""

from __future__ import annotations

from typing import Any

from engines.model import (
    Arrived,
    Become,
    Effects,
    Elapsed,
    Family,
    Handle,
    Message,
    Ref,
    Send,
    SetTimer,
    Timer,
    Value,
    rule,
)


class Said(Message):
    text: str


class Do(Message):
    """What to put into the state, and to whom to tell it."""

    what: str
    to: Ref[Said]


class Mixed(Value):
    count: int = 0
    number: int = 1
    level: float = 0.0


LATE = Timer("late")

NUMBERS: dict[str, Any] = {"large": 2**70, "half": 2.5, "one": 1, "text": "\ud800"}


@rule
def do(m: Do, t: Arrived[Do, None, Mixed]) -> Effects[Mixed, Said]:
    """State: something; timers: maybe one; messages: what the state was."""
    s = t.env.state
    said = Send(m.to, Said(f"{m.what} {s.level}"))
    if m.what == "level":
        level: Any = 3
        return [Become(Mixed(s.count + 1, s.number, level)), said]
    if m.what == "fraction":
        pause: Any = 1e9 + 0.5
        return [Become(Mixed(s.count + 1, s.number, s.level)), SetTimer(LATE, after_ns=pause), said]
    if m.what == "never":
        return [Become(Mixed(s.count + 1, s.number, s.level)), SetTimer(LATE, at_ns=10**20), said]
    return [Become(Mixed(s.count + 1, NUMBERS[m.what], s.level)), said]


@rule(timer=LATE)
def late(h: Handle, t: Elapsed[None, Mixed]) -> Effects[Mixed, Said]:
    """State."""
    return Mixed(t.env.state.count + 100, t.env.state.number, t.env.state.level)


UNRULY = Family("unruly", accepts=Do, emits=Said, state=Mixed(), timers=[LATE]).rules(do, late)
