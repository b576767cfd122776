"""Engines that are spawned: what `bench spawn` and `bench density` measure.

An engine counts as born once it has answered. They come one after the other (`Bear`), or in crowds (`Crowd`): a
transition spawns many, asks the last of them, and goes on once that one answers; they then stay, idle.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from engines.model import (
    Arrived,
    Become,
    Effects,
    Family,
    Message,
    Numbered,
    Ref,
    Send,
    Spawn,
    Stop,
    Value,
    rule,
)

CHUNK = 32
"""Times kept in one tuple; a longer one would make appending the larger part of the measurement."""


class Ping(Message):
    """A question whether the engine lives. `leave`: it then ends itself."""

    parent: Ref[Pong]
    leave: bool


class Pong(Message):
    """The answer that it does."""


class Bear(Message):
    """Spawn `count` engines, each once the one before answered and ended; report to `listener` how long each took."""

    count: int
    listener: Ref[Born]


class Crowd(Message):
    """Spawn `count` engines that stay, `each` in one transition; report to `listener` how long all took."""

    count: int
    each: Annotated[int, Meta(ge=1, le=10_000)]
    listener: Ref[Born]


class Born(Message):
    """`count` engines were born in `took_ns`; `taken_ns`: the time of each, if one after the other, in chunks."""

    count: int
    took_ns: int
    taken_ns: tuple[tuple[int, ...], ...] = ()


class Birth(Value):
    """Engines left, in all, and at a time; when all were begun, and when the last ones; the times so far."""

    left: int
    count: int
    each: int
    listener: Ref[Born]
    began_ns: int
    asked_ns: int
    chunk: tuple[int, ...] = ()
    chunks: tuple[tuple[int, ...], ...] = ()


CHILD_WORD = Numbered("child")


@rule
def answer(ping: Ping, _t: Arrived[Ping, None, None]) -> Effects[None, Pong]:
    """Messages: the answer, to the parent. Engines: its own end, if asked for. State, timers: none."""
    return [Send(ping.parent, Pong()), Stop()] if ping.leave else Send(ping.parent, Pong())


CHILD = Family("child", accepts=Ping, emits=Pong).rules(answer)


@rule
def bear(order: Bear, t: Arrived[Bear, None, Birth | None]) -> Effects[Birth | None, Ping | Born]:
    """State: all to come. Messages: a question to the first child. Timers: none. Engines: the child."""
    return _next(t, Birth(order.count, order.count, 1, order.listener, t.now_ns, t.now_ns))


@rule
def crowd(order: Crowd, t: Arrived[Crowd, None, Birth | None]) -> Effects[Birth | None, Ping | Born]:
    """State: all to come. Messages: a question to the last child. Timers: none. Engines: the first children."""
    return _next(t, Birth(order.count, order.count, order.each, order.listener, t.now_ns, t.now_ns))


@rule
def alive(_pong: Pong, t: Arrived[Pong, None, Birth | None]) -> Effects[Birth | None, Ping | Born]:
    """State: these are there. Messages: the next question, or the end to the listener. Engines: the next children."""
    birth = t.env.state
    if birth is None:
        return []
    after = _counted(birth, t.now_ns)
    if after.left:
        return _next(t, after)
    taken_ns = (*after.chunks, after.chunk) if after.each == 1 else ()
    return [Become(None), Send(after.listener, Born(after.count, t.now_ns - after.began_ns, taken_ns))]


def _next(t: Arrived[Bear | Crowd | Pong, None, Birth | None], birth: Birth) -> Effects[Birth | None, Ping | Born]:
    several = min(birth.each, birth.left)
    last = t.child(CHILD_WORD, several - 1)
    ping = Send(last, Ping(Ref(t.me.name), leave=birth.each == 1))
    return [Become(birth), *[Spawn(CHILD, CHILD_WORD)] * several, ping]


def _counted(birth: Birth, now_ns: int) -> Birth:
    """The births once those under way answered."""
    chunk, chunks = (*birth.chunk, now_ns - birth.asked_ns), birth.chunks
    if len(chunk) == CHUNK:
        chunk, chunks = (), (*chunks, chunk)
    left = birth.left - min(birth.each, birth.left)
    return Birth(left, birth.count, birth.each, birth.listener, birth.began_ns, now_ns, chunk, chunks)


PARENT = Family(
    "parent", states=Birth | None, state=None, accepts=Bear | Crowd | Pong, emits=Ping | Born, spawns=[CHILD]
).rules(bear, crowd, alive)
