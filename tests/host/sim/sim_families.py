"""Families for tests of the simulator: a bank that counts each transfer, and clients that retry."""

from __future__ import annotations

from msgspec.structs import replace

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
    Spawn,
    Timer,
    Value,
    rule,
)


class Pay(Message):
    """Add `amount`."""

    amount: int


class Paid(Value):
    """The amounts received, in order."""

    amounts: tuple[int, ...] = ()


@rule
def pay(order: Pay, t: Arrived[Pay, None, Paid]) -> Effects[Paid, Pay]:
    """State: one amount more. Messages, timers, engines: none."""
    return Paid((*t.env.state.amounts, order.amount))


TILL = Family("till", state=Paid(), accepts=Pay, emits=Pay).rules(pay)


class Start(Message):
    """Pay 1 to `count` to `till`, a payment a tick."""

    till: Ref[Pay]
    count: int


class Left(Value):
    """Payments still to make."""

    till: Ref[Pay] | None = None
    next: int = 1
    count: int = 0


TICK = Timer("tick")
TICK_NS = 1_000_000


@rule
def start(order: Start, t: Arrived[Start, None, Left]) -> Effects[Left, Pay]:
    """State: what is to be paid. Timers: the first tick. Messages, engines: none."""
    return [Become(Left(order.till, 1, order.count)), SetTimer(TICK, t.now_ns + TICK_NS)]


@rule(timer=TICK)
def tick(_handle: Handle, t: Elapsed[None, Left]) -> Effects[Left, Pay]:
    """State: one payment made. Messages: the payment. Timers: the next tick, if one is left. Engines: none."""
    left = t.env.state
    if left.till is None or left.next > left.count:
        return []
    again = [SetTimer(TICK, t.now_ns + TICK_NS)] if left.next < left.count else []
    return [Become(replace(left, next=left.next + 1)), Send(left.till, Pay(left.next)), *again]


PAYER = Family("payer", state=Left(), accepts=Start, emits=Pay, timers=(TICK,)).rules(start, tick)


class Flood(Message):
    """Send `count` payments to `till` at once."""

    till: Ref[Pay]
    count: int


@rule
def flood(order: Flood, t: Arrived[Flood, None, None]) -> Effects[None, Pay]:
    """Messages: all payments. State, timers, engines: none."""
    return [Send(order.till, Pay(n)) for n in range(1, order.count + 1)]


FLOODER = Family("flooder", accepts=Flood, emits=Pay).rules(flood)


class Ball(Message):
    """Goes back and forth."""

    other: Ref[Ball]
    left: int


class Balls(Value):
    """Balls returned."""

    count: int = 0


@rule
def hit(ball: Ball, t: Arrived[Ball, None, Balls]) -> Effects[Balls, Ball]:
    """State: one more. Messages: two balls for one, while some are left. Timers, engines: none."""
    grown = Become(Balls(t.env.state.count + 1))
    if not ball.left:
        return [grown]
    back = Ball(Ref(t.me.name), ball.left - 1)
    return [grown, Send(ball.other, back), Send(ball.other, back)]


DOUBLER = Family("doubler", state=Balls(), accepts=Ball, emits=Ball).rules(hit)


class Hire(Message):
    """Spawn a till under this word."""

    word: str


class Pass(Message):
    """Pay the till of this word."""

    word: str
    amount: int


class Staff(Value):
    """Words of the children."""

    words: tuple[str, ...] = ()


@rule
def hire(order: Hire, t: Arrived[Hire, None, Staff]) -> Effects[Staff, Pay]:
    """State: a word more. Engines: the child. Messages: its first payment. Timers: none."""
    child = t.me.child(order.word)
    return [Become(Staff((*t.env.state.words, order.word))), Spawn(TILL, order.word), Send(Ref(child), Pay(1))]


@rule
def hand_on(order: Pass, t: Arrived[Pass, None, Staff]) -> Effects[Staff, Pay]:
    """Messages: a payment to a child. State, timers, engines: none."""
    return Send(Ref(t.me.child(order.word)), Pay(order.amount))


BOSS = Family("boss", state=Staff(), accepts=Hire | Pass, emits=Pay, spawns=(TILL,)).rules(hire, hand_on)

LUCK = iter(range(1_000_000))


@rule
def pay_by_luck(order: Pay, t: Arrived[Pay, None, Paid]) -> Effects[Paid, Pay]:
    """Planted: the state depends on a global variable."""
    return Paid((*t.env.state.amounts, next(LUCK)))


FICKLE = Family("fickle", state=Paid(), accepts=Pay, emits=Pay).rules(pay_by_luck)
