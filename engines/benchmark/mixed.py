"""Engines as a node has them, all at work: what `bench mixed` measures.

Tokens wander among the walkers, each hop to another one. Every walker sets a timer again and again and keeps how late
it was each time. The guide deals out the tokens, collects them, and asks every walker for its diary.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from engines.model import (
    Arrived,
    Become,
    CancelTimer,
    Config,
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

CHUNK = 32
"""Times kept in one tuple; a longer one would make appending the larger part of the measurement."""


class Step(Message):
    """A token with `left` hops to go; at the end it comes back to `guide`."""

    left: int
    guide: Ref[Arrival]


class Arrival(Message):
    """A token made all its hops."""


class Wake(Message):
    """Tick from now on."""


class Rest(Message):
    """Tick no more, and send a diary to `guide`."""

    guide: Ref[Diary]


class Diary(Message):
    """Steps a walker took, and how late its timer was each time, nanoseconds, in chunks."""

    steps: int
    late_ns: tuple[tuple[int, ...], ...]


class Walk(Message):
    """Have `tokens` make `hops` hops each among the walkers, and report to `listener`."""

    tokens: Annotated[int, Meta(ge=1, le=10_000)]
    hops: Annotated[int, Meta(ge=1)]
    walkers: tuple[Ref[Step | Wake | Rest], ...]
    listener: Ref[Walked]


class Walked(Message):
    """`steps` in `took_ns`, and how late timers were, nanoseconds, in chunks."""

    steps: int
    took_ns: int
    late_ns: tuple[tuple[int, ...], ...]


class Ways(Config):
    """The walkers a walker knows, how far on in that list its first step goes, and how often it ticks."""

    walkers: tuple[Ref[Step], ...]
    stride: int
    tick_ns: int


class Path(Value):
    """Steps so far, the deadline of the pending tick (0: none), and latenesses."""

    steps: int = 0
    due_ns: int = 0
    chunk: tuple[int, ...] = ()
    chunks: tuple[tuple[int, ...], ...] = ()


class Tour(Value):
    """The tokens, then diaries, that the guide still waits for; and what came so far."""

    tokens: int
    diaries: int
    walkers: tuple[Ref[Step | Wake | Rest], ...]
    listener: Ref[Walked]
    began_ns: int
    took_ns: int = 0
    steps: int = 0
    late_ns: tuple[tuple[int, ...], ...] = ()


TICK = Timer("tick")
Walking = Arrived[Step, Ways, Path]


@rule
def walk(step: Step, t: Walking) -> Effects[Path, Step | Arrival | Diary]:
    """State: one step more. Messages: the token, onwards, or its arrival. Timers, engines: none."""
    path, ways = t.env.state, t.config
    became = Become(Path(path.steps + 1, path.due_ns, path.chunk, path.chunks))
    if not step.left:
        return [became, Send(step.guide, Arrival())]
    onward = ways.walkers[(path.steps + ways.stride) % len(ways.walkers)]
    return [became, Send(onward, Step(step.left - 1, step.guide))]


@rule
def wake(_wake: Wake, t: Arrived[Wake, Ways, Path]) -> Effects[Path, Step | Arrival | Diary]:
    """State: a fresh path. Messages: none. Timers: the first tick. Engines: none."""
    due_ns = t.now_ns + t.config.tick_ns
    return [Become(Path(t.env.state.steps, due_ns)), SetTimer(TICK, at_ns=due_ns)]


@rule(timer=TICK)
def tick(_tick: Handle, t: Elapsed[Ways, Path]) -> Effects[Path, Step | Arrival | Diary]:
    """State: how late it was. Messages: none. Timers: the next tick. Engines: none."""
    path, due_ns = t.env.state, t.now_ns + t.config.tick_ns
    chunk, chunks = (*path.chunk, t.now_ns - path.due_ns), path.chunks
    if len(chunk) == CHUNK:
        chunk, chunks = (), (*chunks, chunk)
    return [Become(Path(path.steps, due_ns, chunk, chunks)), SetTimer(TICK, at_ns=due_ns)]


@rule
def rest(order: Rest, t: Arrived[Rest, Ways, Path]) -> Effects[Path, Step | Arrival | Diary]:
    """State: fresh. Messages: the diary, to the guide. Timers: none pending. Engines: none."""
    path = t.env.state
    return [Become(Path()), CancelTimer(TICK), Send(order.guide, Diary(path.steps, (*path.chunks, path.chunk)))]


@rule
def set_out(order: Walk, t: Arrived[Walk, None, Tour | None]) -> Effects[Tour | None, Step | Wake | Rest | Walked]:
    """State: a tour. Messages: to all, to wake; the tokens, dealt out in turn. Timers, engines: none."""
    walkers, me = order.walkers, Ref[Arrival](t.me.name)
    tour = Tour(order.tokens, len(walkers), walkers, order.listener, t.now_ns)
    tokens = [Send(walkers[n % len(walkers)], Step(order.hops - 1, me)) for n in range(order.tokens)]
    return [Become(tour), *(Send(walker, Wake()) for walker in walkers), *tokens]


@rule
def arrived(_one: Arrival, t: Arrived[Arrival, None, Tour | None]) -> Effects[Tour | None, Step | Wake | Rest | Walked]:
    """State: a token less to wait for. Messages: after the last one to all, to rest. Timers, engines: none."""
    tour = t.env.state
    if tour is None:
        return []
    left, took_ns = tour.tokens - 1, t.now_ns - tour.began_ns
    after = Tour(left, tour.diaries, tour.walkers, tour.listener, tour.began_ns, took_ns)
    rests = [Send(walker, Rest(Ref(t.me.name))) for walker in tour.walkers] if not left else []
    return [Become(after), *rests]


@rule
def collect(diary: Diary, t: Arrived[Diary, None, Tour | None]) -> Effects[Tour | None, Step | Wake | Rest | Walked]:
    """State: a diary less to wait for. Messages: after the last one all, to the listener. Timers, engines: none."""
    tour = t.env.state
    if tour is None:
        return []
    steps, late_ns, left = tour.steps + diary.steps, (*tour.late_ns, *diary.late_ns), tour.diaries - 1
    if not left:
        return [Become(None), Send(tour.listener, Walked(steps, tour.took_ns, late_ns))]
    return Tour(0, left, tour.walkers, tour.listener, tour.began_ns, tour.took_ns, steps, late_ns)


WALKER = Family(
    "walker", config=Ways, state=Path(), accepts=Step | Wake | Rest, emits=Step | Arrival | Diary, timers=[TICK]
).rules(walk, tick, wake, rest)
GUIDE = Family(
    "guide",
    states=Tour | None,
    state=None,
    accepts=Walk | Arrival | Diary,
    emits=Step | Wake | Rest | Walked,
).rules(set_out, arrived, collect)
