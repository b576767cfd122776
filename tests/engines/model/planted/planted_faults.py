"""Families for the determinism check: one that is pure, and one for each way not to be."""

import os
import random
import threading
import time
import uuid
from collections.abc import Callable
from itertools import count
from typing import Any

from engines.model import (
    Arrived,
    Become,
    Blob,
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
    Numbered,
    Ref,
    Roll,
    Send,
    SetTimer,
    Spawn,
    Stop,
    Timer,
    Value,
    interactive_rule,
    rule,
)


class Words(Message):
    words: tuple[str, ...]
    body: Blob = Blob()


class Bet(Message):
    stake: int


class Length(Message):
    word: str
    count: int


class Limits(Config):
    words: int = 100


class Seen(Value):
    counts: Map[str, int] = Map()
    last: int = 0


AGAIN = Timer("again")
Heard = Arrived[Words, Limits, Seen]
Said = Effects[Seen, Length]


@rule
def clean(message: Words, t: Heard) -> Said:
    counts = t.env.state.counts
    for word in message.words[: t.config.words]:
        counts = counts.set(word, counts.get(word, 0) + 1)
    told = [Send(Ref[Length](word), Length(word, count)) for word, count in counts.items()]
    if len(counts) > 3:
        return [Stop(), Note("enough", words=len(counts))]
    child = Spawn(CLEAN, Numbered("child"), Limits(len(counts)), Seen(counts))
    return [Become(Seen(counts, t.now_ns)), *told, child, SetTimer(AGAIN, after_ns=5)]


def has_stake(t: Arrived[Bet, Limits, Seen]) -> int | None:
    if t.message.stake < 0:
        raise ValueError(f"no stake: {object()}")
    return t.message.stake or None


@interactive_rule(when=has_stake)
def bet(stake: int, t: Arrived[Bet, Limits, Seen]) -> Interaction[Seen, Length]:
    side = yield from Roll(6)
    colour = yield from Choose(["red", "black"])
    return Seen(t.env.state.counts.set(colour, side * stake), t.now_ns)


@rule(timer=AGAIN)
def again(handle: Handle, t: Elapsed[Limits, Seen]) -> Said:
    return Seen(t.env.state.counts, handle.number)


CLEAN = Family("clean", accepts=Words | Bet, emits=Length, config=Limits, state=Seen(), timers=[AGAIN]).rules(
    clean, bet, again
)


def faulty(name: str, say: Callable[[Words, Heard], Said]) -> Family[Words, Limits, Seen, Length]:
    """A family whose only rule does `say`."""

    def act(message: Words, t: Heard) -> Said:
        return say(message, t)

    family: Any = Family(name, accepts=Words, emits=Length, config=Limits, state=Seen())
    completed: Family[Words, Limits, Seen, Length] = family.rules(rule(act))
    return completed


def number(of: Callable[[], int]) -> Callable[[Words, Heard], Said]:
    """An action that leaves a number from somewhere in the state."""
    return lambda message, t: Seen(t.env.state.counts, of())


def send_each(message: Words, t: Heard) -> Said:
    return [Send(Ref[Length](word), Length(word, 0)) for word in set(message.words)]


def note_each(message: Words, t: Heard) -> Said:
    return Note("seen", words=tuple(frozenset(message.words)))


def remember(message: Words, t: Heard) -> Said:
    _remembered.extend(message.words)
    return Seen(Map((word, 1) for word in _remembered))


def raise_order(message: Words, t: Heard) -> Said:
    raise ValueError(str(set(message.words)))


_runs = count()
_remembered: list[str] = []

WALL_CLOCK = faulty("wall clock", number(time.time_ns))
STOPWATCH = faulty("stopwatch", number(time.monotonic_ns))
RANDOM = faulty("random", number(lambda: random.randrange(2**60)))
UUID = faulty("uuid", number(lambda: uuid.uuid4().int >> 70))
ENTROPY = faulty("entropy", number(lambda: int.from_bytes(os.urandom(7), "big")))
PROCESS = faulty("process", number(os.getpid))
IDENTITY = faulty("identity", lambda message, t: Seen(t.env.state.counts, id(message)))
HASH = faulty("hash", lambda message, t: Seen(t.env.state.counts, hash(message.words)))
SET_ORDER = faulty("set order", send_each)
SET_IN_NOTE = faulty("set in note", note_each)
SET_IN_ERROR = faulty("set in error", raise_order)
COUNTER = faulty("counter", number(lambda: next(_runs)))
MEMORY = faulty("memory", remember)
ENVIRONMENT = faulty("environment", number(lambda: int(os.environ["PYTHONHASHSEED"])))
THREAD = faulty("thread", number(threading.get_native_id))

FAULTS = {name: family for name, family in vars().copy().items() if isinstance(family, Family) and name != "CLEAN"}
