"""A family with one of everything a journal has to get right, and one that only counts, for speed."""

from __future__ import annotations

from typing import Never

from engines.model import (
    Arrived,
    Become,
    Choose,
    Effects,
    Elapsed,
    Family,
    Handle,
    Interaction,
    Message,
    Note,
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


class Tick(Message):
    number: int
    text: str


class Count(Value):
    ticks: int = 0


@rule
def tick(_m: Tick, t: Arrived[Tick, None, Count]) -> Effects[Count, Never]:
    return Count(t.env.state.ticks + 1)


COUNTER = Family("counter", accepts=Tick, state=Count()).rules(tick)


class Pay(Message):
    """Take `amount`, and say so to `receipt`."""

    amount: int
    receipt: Ref[Paid]


class Paid(Message):
    amount: int
    balance: int


class Later(Message):
    """Count one more in `after_ns`."""

    after_ns: int


class Gamble(Message):
    pass


class Decide(Message):
    pass


class Venture(Message):
    """Roll first, then choose."""


class Fail(Message):
    text: str


class Bear(Message):
    word: str


class Odd(Message):
    """No rule takes it."""

    number: int


class End(Message):
    pass


class Account(Value):
    balance: int = 0
    fired: int = 0
    rolled: tuple[int, ...] = ()
    decided: tuple[str, ...] = ()


ALARM = Timer("alarm")


@rule
def pay(m: Pay, t: Arrived[Pay, None, Account]) -> Effects[Account, Paid]:
    """State: the balance. Messages: the receipt."""
    state = t.env.state
    balance = state.balance + m.amount
    return [
        Become(Account(balance, state.fired, state.rolled, state.decided)),
        Send(m.receipt, Paid(m.amount, balance)),
    ]


@rule
def later(m: Later, t: Arrived[Later, None, Account]) -> Effects[Account, Paid]:
    return [SetTimer(ALARM, after_ns=m.after_ns)]


@rule(timer=ALARM)
def alarm(_handle: Handle, t: Elapsed[None, Account]) -> Effects[Account, Paid]:
    state = t.env.state
    return Account(state.balance, state.fired + 1, state.rolled, state.decided)


@interactive_rule
def gamble(_m: Gamble, t: Arrived[Gamble, None, Account]) -> Interaction[Account, Paid]:
    side = yield from Roll(6)
    state = t.env.state
    return Account(state.balance, state.fired, (*state.rolled, side), state.decided)


@interactive_rule
def decide(_m: Decide, t: Arrived[Decide, None, Account]) -> Interaction[Account, Paid]:
    choice = yield from Choose(["yes", "no"])
    state = t.env.state
    after = Account(state.balance, state.fired, state.rolled, (*state.decided, choice))
    return [Become(after), Note("decided", way=choice)]


@interactive_rule
def venture(_m: Venture, t: Arrived[Venture, None, Account]) -> Interaction[Account, Paid]:
    side = yield from Roll(6)
    choice = yield from Choose(["yes", "no"])
    state = t.env.state
    return Account(state.balance, state.fired, (*state.rolled, side), (*state.decided, choice))


@rule
def fail(m: Fail, t: Arrived[Fail, None, Account]) -> Effects[Account, Paid]:
    raise ValueError(m.text)


@rule
def bear(m: Bear, t: Arrived[Bear, None, Account]) -> Effects[Account, Paid]:
    return [Spawn(COUNTER, m.word)]


def _never(t: Arrived[Odd, None, Account]) -> Odd | None:
    return t.message if t.message.number < 0 else None


@rule(when=_never)
def odd(m: Odd, t: Arrived[Odd, None, Account]) -> Effects[Account, Paid]:
    return []


@rule
def end(_m: End, t: Arrived[End, None, Account]) -> Effects[Account, Paid]:
    return [Stop()]


ACCOUNT = Family(
    "account",
    accepts=Pay | Later | Gamble | Decide | Venture | Fail | Bear | Odd | End,
    emits=Paid,
    state=Account(),
    timers=[ALARM],
    spawns=[COUNTER],
).rules(pay, later, alarm, gamble, decide, venture, fail, bear, odd, end)
