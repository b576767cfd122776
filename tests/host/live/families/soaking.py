"""A steady stream through two stages, and an engine that bears children which end at once, for as long as one likes."""

from __future__ import annotations

from engines.model import (
    Arrived,
    Become,
    Config,
    Effects,
    Elapsed,
    Family,
    Handle,
    Message,
    Ref,
    Send,
    SetTimer,
    Spawn,
    Stop,
    Timer,
    Value,
    rule,
)

TICK_NS = 10_000_000
EACH_TICK = 20
BIRTH_NS = 500_000_000


class Numbered(Message):
    n: int
    padding: bytes


class Begin(Message):
    pass


class Came(Message):
    got: int
    wrong: int


class Tell(Message):
    reply_to: Ref[Came]


class Onward(Config):
    next: Ref[Numbered]


class Sending(Value):
    count: int = 0


class Seen(Value):
    got: int = 0
    wrong: int = 0


TICK = Timer("tick")
BIRTH = Timer("birth")


@rule
def begin(_m: Begin, t: Arrived[Begin, Onward, Sending]) -> Effects[Sending, Numbered]:
    return [SetTimer(TICK, after_ns=TICK_NS)]


@rule(timer=TICK)
def tick(_handle: Handle, t: Elapsed[Onward, Sending]) -> Effects[Sending, Numbered]:
    count = t.env.state.count
    sends = [Send(t.config.next, Numbered(n, bytes(64))) for n in range(count, count + EACH_TICK)]
    return [Become(Sending(count + EACH_TICK)), *sends, SetTimer(TICK, after_ns=TICK_NS)]


@rule
def pass_on(m: Numbered, t: Arrived[Numbered, Onward, Seen]) -> Effects[Seen, Numbered]:
    seen = t.env.state
    return [Become(Seen(seen.got + 1, seen.wrong + (m.n != seen.got))), Send(t.config.next, m)]


@rule
def take(m: Numbered, t: Arrived[Numbered, None, Seen]) -> Effects[Seen, Came]:
    seen = t.env.state
    return Seen(seen.got + 1, seen.wrong + (m.n != seen.got))


@rule
def tell(m: Tell, t: Arrived[Tell, None, Seen]) -> Effects[Seen, Came]:
    return [Send(m.reply_to, Came(t.env.state.got, t.env.state.wrong))]


@rule
def leave(_m: Begin, t: Arrived[Begin, None, None]) -> Effects[None, None]:
    return [Stop()]


CHILD = Family("soaked-child", accepts=Begin).rules(leave)


@rule
def breed(_m: Begin, t: Arrived[Begin, None, Sending]) -> Effects[Sending, Begin]:
    return [SetTimer(BIRTH, after_ns=BIRTH_NS)]


@rule(timer=BIRTH)
def bear(_handle: Handle, t: Elapsed[None, Sending]) -> Effects[Sending, Begin]:
    number = t.env.state.count + 1
    name = f"kid{number}"
    child = f"{t.me.name}/{name}"
    return [Become(Sending(number)), Spawn(CHILD, name), Send(child, Begin()), SetTimer(BIRTH, after_ns=BIRTH_NS)]


SOURCE = Family("soak-source", config=Onward, state=Sending(), accepts=Begin, emits=Numbered, timers=[TICK]).rules(
    begin, tick
)
STAGE = Family("soak-stage", config=Onward, state=Seen(), accepts=Numbered, emits=Numbered).rules(pass_on)
END = Family("soak-end", state=Seen(), accepts=Numbered | Tell, emits=Came).rules(take, tell)
BREEDER = Family("soak-breeder", state=Sending(), accepts=Begin, emits=Begin, timers=[BIRTH]).rules(breed, bear)
