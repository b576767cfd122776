"""A stream of numbered messages, and a receiver that finds what is missing, doubled or out of order."""

from __future__ import annotations

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

BURST = 100
TICK_NS = 1_000_000


class Numbered(Message):
    n: int
    padding: bytes = b""


class Start(Message):
    to: Ref[Numbered]


class Halt(Message):
    """Send no more."""


class Found(Message):
    expected: int
    wrong: int


class Look(Message):
    reply_to: Ref[Found]


class Sent(Message):
    count: int


class Report(Message):
    reply_to: Ref[Sent]


class Sending(Value):
    to: Ref[Numbered] | None = None
    count: int = 0


class Expecting(Value):
    expected: int = 0
    wrong: int = 0


NEXT = Timer("next")


@rule
def start(order: Start, t: Arrived[Start, None, Sending]) -> Effects[Sending, Numbered | Sent]:
    """State: whom to send to. Timers: the first tick. Messages, engines: none."""
    return [Become(Sending(order.to, t.env.state.count)), SetTimer(NEXT, after_ns=TICK_NS)]


@rule(timer=NEXT)
def tick(handle: Handle, t: Elapsed[None, Sending]) -> Effects[Sending, Numbered | Sent]:
    """State: more sent. Messages: a burst. Timers: the next tick. Engines: none."""
    to, count = t.env.state.to, t.env.state.count
    if to is None:
        return []
    burst = [Send(to, Numbered(n, b"x" * 80)) for n in range(count, count + BURST)]
    return [Become(Sending(to, count + BURST)), *burst, SetTimer(NEXT, after_ns=TICK_NS)]


@rule
def halt(order: Halt, t: Arrived[Halt, None, Sending]) -> Effects[Sending, Numbered | Sent]:
    """State: nobody to send to. Messages, timers, engines: none."""
    return Sending(None, t.env.state.count)


@rule
def report(ask: Report, t: Arrived[Report, None, Sending]) -> Effects[Sending, Numbered | Sent]:
    """Messages: how many. State, timers, engines: none."""
    return Send(ask.reply_to, Sent(t.env.state.count))


@rule
def receive(message: Numbered, t: Arrived[Numbered, None, Expecting]) -> Effects[Expecting, Found]:
    """State: the next number, and one more wrong if it was another. Messages, timers, engines: none."""
    state = t.env.state
    return Expecting(message.n + 1, state.wrong + (message.n != state.expected))


@rule
def look(ask: Look, t: Arrived[Look, None, Expecting]) -> Effects[Expecting, Found]:
    """Messages: what was found. State, timers, engines: none."""
    return Send(ask.reply_to, Found(t.env.state.expected, t.env.state.wrong))


SENDER = Family("sender", state=Sending(), accepts=Start | Halt | Report, emits=Numbered | Sent, timers=[NEXT]).rules(
    start, tick, halt, report
)
RECEIVER = Family("receiver", state=Expecting(), accepts=Numbered | Look, emits=Found).rules(receive, look)
