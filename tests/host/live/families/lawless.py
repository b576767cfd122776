"""An engine whose rules break the value law, each in its own way, and now and then keep it."""

from __future__ import annotations

import os
from typing import Any, Final, Literal, Never

from engines.model import (
    Arrived,
    Become,
    Box,
    Choose,
    Config,
    Effects,
    Elapsed,
    Family,
    Handle,
    Interaction,
    Map,
    Message,
    Note,
    Put,
    Ref,
    Roll,
    Send,
    SetTimer,
    Spawn,
    Store,
    Timer,
    Value,
    interactive_rule,
    rule,
)

ODD: Final = os.fsdecode(b"caf\xe9")
"""Text that is not UTF-8."""


class Part(Value):
    """A piece of state."""

    size: float
    next: Part | None = None


class Wide(Part):
    """Where a part is declared, this is none."""


class Held(Value):
    """The state."""

    total: int = 0
    level: float = 0
    name: str = ""
    is_open: bool = False
    parts: tuple[Part, ...] = ()
    table: Map[str, float] = Map()
    inner: Part | None = None


class Told(Message):
    """What an engine says of itself."""

    text: str
    number: int = 0
    level: float = 0


class Size(Config):
    """A child's parameters."""

    size: int = 0
    level: float = 0.0


def deep(levels: int) -> Part:
    """Parts inside each other."""
    part = Part(0.0)
    for _ in range(levels):
        part = Part(1.0, part)
    return part


wrong: Any = 2.5
"""Of another type than wherever it stands."""

RAN: Final[list[str]] = []
"""What ran in this process, for a test that counts."""

STATES: Final[dict[str, Any]] = {
    "fine": lambda old: Held(old.total + 1, old.level + 0.5, old.name, True, (*old.parts, Part(1.0))[-4:], old.table),
    "set": lambda old: Held(old.total, old.level, "é", False, old.parts, old.table.set("k", 1.5), old.inner),
    "int for float": lambda old: Held(old.total, 3, table=old.table.set("i", 2), parts=(*old.parts, Part(4))),
    "beyond 64 bits": lambda old: Held(2**70),
    "most of 64 bits": lambda old: Held(2**64 - 2, inner=Part(2**70)),
    "less than 64 bits": lambda old: Held(-(2**63) - 1),
    "digits": lambda old: Held(10**5000),
    "fraction": lambda old: Held(wrong),
    "bool for int": lambda old: Held(True),
    "int for bool": lambda old: Held(0, is_open=1),  # type: ignore[arg-type]
    "bool for float": lambda old: Held(0, level=True),
    "surrogate": lambda old: Held(name=ODD),
    "list for tuple": lambda old: Held(parts=[Part(1.0)]),  # type: ignore[arg-type]
    "pairs for map": lambda old: Held(table=[["k", 1.0]]),  # type: ignore[arg-type]
    "wrong in tuple": lambda old: Held(parts=(*old.parts, wrong)),
    "wrong in map": lambda old: Held(table=old.table.set("k", "text")),  # type: ignore[arg-type]
    "surrogate for key": lambda old: Held(table=old.table.set(ODD, 1.0)),
    "subclass": lambda old: Held(inner=Wide(1.0)),
    "deep": lambda old: Held(inner=deep(400)),
    "not so deep": lambda old: Held(inner=deep(90)),
    "not a number": lambda old: Held(level=float("nan")),
}

EFFECTS: Final[dict[str, Any]] = {
    "send": lambda old, to: [Become(Held(7)), Send(to, Told("fine", old.total, old.level))],
    "send an int for a float": lambda old, to: Send(to, Told("bent", 1, 3)),
    "send twice": lambda old, to: (Send(to, Told("one", 1)), Send(to, Told("two", 2**70))),
    "send too large": lambda old, to: [Become(Held(9)), Send(to, Told("", 2**64))],
    "send odd text": lambda old, to: Send(to, Told(ODD)),
    "send to an odd name": lambda old, to: Send(Ref(ODD), Told("")),
    "send to an odd mailbox": lambda old, to: [Send(Ref("p#one"), Told(""))],
    "send to mailbox 2**40": lambda old, to: [Send(Ref(f"p#{2**40}"), Told(""))],
    "send what is not emitted": lambda old, to: Send(to, Do("fine", to)),
    "note": lambda old, to: [Become(Held(1)), Note("seen", size=old.total, of=Part(1))],
    "note too large": lambda old, to: [Become(Held(1)), Note("seen", size=2**70)],
    "note odd text": lambda old, to: [Become(Held(1)), Note(ODD)],
    "timer": lambda old, to: SetTimer(LATE, after_ns=10),
    "timer with a fraction": lambda old, to: [Become(Held(1)), SetTimer(LATE, after_ns=wrong)],
    "timer at True": lambda old, to: SetTimer(LATE, at_ns=True),
    "timer at never": lambda old, to: SetTimer(LATE, at_ns=10**20),
    "timer in ages": lambda old, to: SetTimer(LATE, after_ns=2**63 - 2),
    "put": lambda old, to: Put(COUNTED, old.total),
    "put too large": lambda old, to: [Become(Held(1)), Put(COUNTED, 2**70)],
    "put text": lambda old, to: Put(COUNTED, "text"),
    "child": lambda old, to: Spawn(CHILD, "kid", Size(1, 2)),
    "child of a fraction": lambda old, to: Spawn(CHILD, "kid", Size(wrong)),
    "child of a large state": lambda old, to: Spawn(CHILD, "kid", Size(), Held(2**70)),
    "raise": lambda old, to: 1 // 0,
    "store": lambda old, to: [Become(Held(1)), Store()],
}  # fmt: skip

Way = Literal[*STATES, *EFFECTS]  # type: ignore[valid-type]


class Do(Message):
    """Do it this way."""

    way: Way  # type: ignore[valid-type]
    to: Ref[Told]


class Question(Message):
    """Ask this way."""

    way: Literal["numbers", "odd text", "fraction", "sides", "fine"]


LATE = Timer("late")
COUNTED = Box(1, accepts=Question, start=0)


def done(way: str, old: Held, to: Ref[Told]) -> Any:
    """The effects of doing it this way."""
    RAN.append(way)
    return STATES[way](old) if way in STATES else EFFECTS[way](old, to)


@rule
def do(m: Do, t: Arrived[Do, None, Held]) -> Effects[Held, Told]:
    """Anything."""
    effects: Effects[Held, Told] = done(m.way, t.env.state, m.to)
    return effects


@rule(timer=LATE)
def late(h: Handle, t: Elapsed[None, Held]) -> Effects[Held, Told]:
    """State: one that cannot be."""
    return Held(t.env.state.total, name=ODD)


@interactive_rule
def ask(m: Question, t: Arrived[Question, None, Held]) -> Interaction[Held, Told]:
    """State: the answer."""
    match m.way:
        case "numbers":
            chosen = yield from Choose((1, 2))  # type: ignore[arg-type,misc]
        case "odd text":
            chosen = yield from Choose((ODD, "b"))
        case "fraction":
            chosen = yield from Choose(("a", "b"), timeout_ns=wrong)  # type: ignore[misc]
        case "sides":
            chosen = yield from Roll(2**64)  # type: ignore[assignment]
        case _:
            chosen = yield from Choose(("a", "b"))
    return Held(name=str(chosen))


@rule
def grow(m: Told, t: Arrived[Told, Size, Held]) -> Effects[Held, Never]:
    """State: the level, as text."""
    return Held(name=f"{t.config.level} {m.level}")


CHILD = Family("lawless-child", config=Size, state=Held(), accepts=Told).rules(grow)
LAWLESS = Family(
    "lawless", state=Held(), accepts=Do | Question, emits=Told, boxes=[COUNTED], timers=[LATE], spawns=[CHILD]
).rules(do, late, ask)
