"""Protocols made up at random, for laws; and texts as people write them."""

from __future__ import annotations

from random import Random
from typing import Any

from engines.agents.protocol.model import (
    Assignment,
    Bound,
    Capability,
    ContextMapping,
    Effect,
    Field,
    FieldType,
    Guard,
    Import,
    Invariant,
    Limit,
    Measurement,
    MessageMapping,
    MessageType,
    Migration,
    Protocol,
    Role,
    Sending,
    State,
    StateMapping,
    Timeout,
    Transition,
)

NAMES = ("inbox", "deep_work", "a-b", "A", "x1", "distill", "idle2", "review", "on", "by", "from", "max_duration")
TEXTS = (
    "",
    "When focused task identified",
    "a: b",
    "x → y -> z",
    "`code` and **bold** _it_",
    "(open",
    "1. not a list",
    "שלום: עולם",
    "مرحبا",
    "e\u0301 combining",
    "# no heading",
    'it\'s "quoted"',
    "a | b | c",
    "<b>html</b>",
    "\\_ \\*",
    "text, with, commas",
    "- dash",
    "[link](x)",
    "& &amp; ✓",
    "# Protocol: other",
    "only if it MUST",
)
GUARDS = (
    "inbox.unread == 0",
    "measure.context_percent >= 70%",
    'context.task != ""',
    "not (inbox.unread > 3 or context.done)",
    "elapsed(state.since) >= 1m",
    'context.mood in {"good", "bad"}',
    "inbox.unread between 1 and 3",
)
NS = (250_000_000, 30_000_000_000, 300_000_000_000, 5_400_000_000_000, 86_400_000_000_000)


def protocol(random: Random) -> Protocol:
    """A protocol in which each part is of the right form; names may be undefined."""
    return Protocol(
        name=random.choice(("task", "a-b", "X9")),
        version=(version := random.choice(("0.0.0", "1.2.3", "1.0.0-rc.1"))),
        has_version=version != "0.0.0" or random.random() < 0.5,
        status=random.choice(("draft", "active", "deprecated")),
        policy=random.choice(("pinned", "at_safe_point", "now")),
        owner=random.choice(("", "somebody")),
        language=random.choice(("", "en", "pt-BR")),
        extends=Import("base", "^1.0") if random.random() < 0.2 else None,
        uses=some(random, lambda name: Import(name, ">=1.0 <2", ids(random), ids(random))),
        states=some(random, lambda name: _state(random, name)),
        transitions=tuple(_transition(random, index) for index in range(random.randint(0, 6))),
        roles=some(random, lambda name: _role(random, name)),
        messages=some(random, lambda name: _message(random, name)),
        context=some(random, lambda name: _context(random, name)),
        invariants=some(random, lambda name: _invariant(random, name)),
        limits=tuple(random.sample(BOUNDS, random.randint(0, 3))),
        measurements=some(random, lambda name: _measurement(random, name)),
        migrations=tuple(_migration(random, minor) for minor in range(random.randint(0, 2))),
    )


BOUNDS = (
    Bound("memory", 512 << 20),
    Bound("cpu", 12.5),
    Bound("pids", 50),
    Bound("wall", NS[2]),
    Bound("tokens", 100_000, NS[4]),
    Bound("messages", 20, 60_000_000_000),
    Bound("context_soft", 85),
    Bound("context_hard", 150_000),
    Bound("inbox", 7),
    Bound("transitions", 3, NS[2]),
)


def some(random: Random, make: Any) -> tuple[Any, ...]:
    """A few values, of different names."""
    return tuple(make(name) for name in random.sample(NAMES, random.randint(0, 4)))


def ids(random: Random) -> tuple[str, ...]:
    """A few names."""
    return tuple(random.sample(NAMES, random.randint(0, 2)))


def _guard(random: Random) -> Guard:
    return Guard(random.choice(GUARDS), random.random() < 0.2)


def _effects(random: Random) -> tuple[Effect, ...]:
    kinds = (
        Effect("prompt", 'say "it": now, ok'),
        Effect("notify", "boss"),
        Effect("send", "note to boss"),
        Effect("commit"),
        Effect("measure", "done"),
        Effect("rotate"),
        Effect("start", "worker"),
        Effect("stop"),
    )
    return tuple(random.sample(kinds, random.randint(0, 2)))


def kind(random: Random, depth: int = 0) -> FieldType:
    """A type."""
    name = random.choice(("bool", "int", "number", "string", "enum", "duration", "size", "time", "id", "list", "path"))
    if name == "enum":
        return FieldType("enum", choices=("a", "b-c"))
    if name == "list":
        return FieldType("list", None, random.choice((None, 5)), item=kind(random, 1) if not depth else FieldType("id"))
    low, high = random.choice(((None, None), (1, 9), (None, 200), (2, None)))
    if name not in ("int", "number", "string"):
        low = high = None
    return FieldType(name, low, 1.5 if name == "number" and low == 1 else high)  # type: ignore[arg-type]


def _field(random: Random, name: str) -> Field:
    marks = random.choice(((), ("key",), ("key", "out"), ("in",)))
    return Field(name, kind(random), random.random() < 0.3, marks)  # type: ignore[arg-type]


def _context(random: Random, name: str) -> Field:
    defaults: Any = random.choice(
        (
            (FieldType("string", None, 200), 'a "b" <!-- c ` -- > '),
            (FieldType("string"), ""),
            (FieldType("int", -5, 5), -3),
            (FieldType("number"), 0.5),
            (FieldType("bool"), True),
            (FieldType("duration"), NS[3]),
            (FieldType("size"), 3 << 10),
            (FieldType("list", None, 5, item=FieldType("string")), ("a,b", "]")),
            (FieldType("enum", choices=("a", "b")), "b"),
            (FieldType("list", item=FieldType("id")), ()),
            (FieldType("path"), "a/b.txt"),
            (FieldType("id"), None),
        )
    )
    return Field(
        name,
        defaults[0],
        random.random() < 0.2,
        (),
        defaults[1],
        random.choice(("agent", "engine")),
        random.choice(("agent", "session")),
    )


def _state(random: Random, name: str) -> State:
    capabilities = (
        Capability("send", ("note", "x1")),
        Capability("receive"),
        Capability("tool", ("sh",)),
        Capability("spawn"),
    )
    flags: Any = tuple(
        flag for flag in ("initial", "final", "safe", "idle", "fresh", "external") if random.random() < 0.2
    )
    return State(
        name,
        flags,
        random.choice(TEXTS),
        Timeout(random.choice(NS), random.choice(NAMES)) if random.random() < 0.4 else None,
        random.choice((0, *NS)),
        tuple(random.sample(capabilities, random.randint(1, 3))) if random.random() < 0.4 else None,
        tuple(random.sample(capabilities, random.randint(0, 1))),
        random.choice(("", "Look at the inbox: then decide.")),
        random.choice((0, *NS)),
        _effects(random),
        _effects(random),
    )


def _transition(random: Random, index: int) -> Transition:
    sources = tuple(random.sample(NAMES, random.randint(1, 3)))
    excepted: tuple[str, ...] = ()
    if random.random() < 0.2:
        sources, excepted = ("any",), ids(random)
    actors: Any = random.choice(((), ("engine",), ("admin",), ("agent", "engine")))
    return Transition(
        index,
        sources,
        random.choice((*NAMES, "self")),
        excepted,
        random.choice(("", "message", "on")),
        actors,
        random.choice(TEXTS),
        _guard(random) if random.random() < 0.4 else None,
        tuple(_field(random, name) for name in ids(random)),
        tuple(Assignment(name, random.choice(("request.task", "5", '"x, y"', "5m", "true"))) for name in ids(random)),
        tuple(Sending("note", name) for name in ids(random)),
        random.choice((0, 0, 3, -1)),
        random.choice((0, *NS)),
        random.choice(((), (Limit(3, "visit"),), (Limit(3, "visit"), Limit(100, "hour")))),
        _effects(random),
    )


def _role(random: Random, name: str) -> Role:
    low, high = random.choice(((0, None), (1, 1), (1, 50), (2, None), (0, 5)))
    return Role(name, low, high, random.choice(TEXTS), ids(random), random.choice(((), ("read:peers", "send:note"))))


def _message(random: Random, name: str) -> MessageType:
    replies = ids(random)
    return MessageType(
        name,
        random.choice(NAMES),
        random.choice(NAMES),
        random.choice(TEXTS),
        tuple(_field(random, one) for one in ids(random)),
        replies,
        random.choice((0, *NS)) if replies else 0,
        ids(random),
        ids(random),
        random.choice(("queue", "bounce")),
        random.choice((0, *NS)),
        random.choice((0, 16 << 10)),
        random.choice(("fifo", "any", "latest")),
    )


def _invariant(random: Random, name: str) -> Invariant:
    on_fail: Any = random.choice(("reject", "alarm", "quarantine"))
    return Invariant(name, _guard(random), ids(random), on_fail, random.choice(TEXTS))


def _measurement(random: Random, name: str) -> Measurement:
    unit, text = random.choice(("", "ms")), random.choice(TEXTS)
    buckets: Any = random.choice(((), (1.0, 2.5, 1e-05)))
    return Measurement(name, random.choice(("count", "time")), unit, random.choice(("", "state: x")), "", buckets, text)


def _migration(random: Random, minor: int) -> Migration:
    messages = (MessageMapping("x", "bounce"), MessageMapping("y", "keep"), MessageMapping("z", "translate", "note"))
    return Migration(
        f"0.{minor}",
        "1.0.0",
        tuple(StateMapping(name, "inbox") for name in ids(random)),
        tuple(
            random.choice((ContextMapping(name, "old"), ContextMapping(name, expression='"new"')))
            for name in ids(random)
        ),
        tuple(random.sample(messages, random.randint(0, 2))),
        _guard(random) if random.random() < 0.3 else None,
        random.choice((None, "now")),
    )
