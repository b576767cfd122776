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

RATE = 50_000
"""Messages a second; who was held up catches up, `BURST_MAX` at a tick."""

BURST_MAX = 5_000
TICK_NS = 1_000_000
SECOND_NS = 1_000_000_000


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
    began_ns: int = 0
    count: int = 0


class Expecting(Value):
    expected: int = 0
    wrong: int = 0


NEXT = Timer("next")


@rule
def start(order: Start, t: Arrived[Start, None, Sending]) -> Effects[Sending, Numbered | Sent]:
    """State: whom to send to. Timers: the first tick. Messages, engines: none."""
    return [Become(Sending(order.to, t.now_ns)), SetTimer(NEXT, after_ns=TICK_NS)]


@rule(timer=NEXT)
def tick(handle: Handle, t: Elapsed[None, Sending]) -> Effects[Sending, Numbered | Sent]:
    """State: more sent. Messages: a burst. Timers: the next tick. Engines: none."""
    sending = t.env.state
    if sending.to is None:
        return []
    due = (t.now_ns - sending.began_ns) * RATE // SECOND_NS
    count = min(due, sending.count + BURST_MAX)
    burst = [Send(sending.to, Numbered(n, b"x" * 80)) for n in range(sending.count, count)]
    return [Become(Sending(sending.to, sending.began_ns, count)), *burst, SetTimer(NEXT, after_ns=TICK_NS)]


@rule
def halt(order: Halt, t: Arrived[Halt, None, Sending]) -> Effects[Sending, Numbered | Sent]:
    """State: nobody to send to. Messages, timers, engines: none."""
    return Sending(None, 0, t.env.state.count)


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
