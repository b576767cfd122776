"""Families for tests of journals on live nodes."""

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
    Ref,
    Send,
    SetTimer,
    Spawn,
    Stop,
    Timer,
    Value,
    interactive_rule,
    rule,
)


class Total(Message):
    count: int
    fired: int = 0
    decided: tuple[str, ...] = ()


class Add(Message):
    amount: int = 1


class Ask(Message):
    reply_to: Ref[Total]


class Later(Message):
    """Count one firing more in `after_ns`."""

    after_ns: int


class Decide(Message):
    pass


class Bear(Message):
    word: str


class End(Message):
    pass


class Count(Value):
    count: int = 0
    fired: int = 0
    decided: tuple[str, ...] = ()


ALARM = Timer("alarm")


@rule
def add(m: Add, t: Arrived[Add, None, Count]) -> Effects[Count, Never]:
    state = t.env.state
    return Count(state.count + m.amount, state.fired, state.decided)


@rule
def tell(m: Ask, t: Arrived[Ask, None, Count]) -> Effects[Count, Total]:
    state = t.env.state
    return [Send(m.reply_to, Total(state.count, state.fired, state.decided))]


@rule
def later(m: Later, t: Arrived[Later, None, Count]) -> Effects[Count, Never]:
    return [SetTimer(ALARM, after_ns=m.after_ns)]


@rule(timer=ALARM)
def alarm(_handle: Handle, t: Elapsed[None, Count]) -> Effects[Count, Never]:
    state = t.env.state
    return Count(state.count, state.fired + 1, state.decided)


@interactive_rule
def decide(_m: Decide, t: Arrived[Decide, None, Count]) -> Interaction[Count, Never]:
    choice = yield from Choose(["yes", "no"])
    state = t.env.state
    return [Become(Count(state.count, state.fired, (*state.decided, choice)))]


class Little(Value):
    count: int = 0


@rule
def add_little(m: Add, t: Arrived[Add, None, Little]) -> Effects[Little, Never]:
    return Little(t.env.state.count + m.amount)


@rule
def tell_little(m: Ask, t: Arrived[Ask, None, Little]) -> Effects[Little, Total]:
    return [Send(m.reply_to, Total(t.env.state.count))]


CHILD = Family("child", accepts=Add | Ask, emits=Total, state=Little()).rules(add_little, tell_little)


@rule
def bear(m: Bear, t: Arrived[Bear, None, Count]) -> Effects[Count, Never]:
    return [Spawn(CHILD, m.word)]


@rule
def end(_m: End, t: Arrived[End, None, Count]) -> Effects[Count, Never]:
    return [Stop()]


LASTING = Family(
    "lasting",
    accepts=Add | Ask | Later | Decide | Bear | End,
    emits=Total,
    state=Count(),
    timers=[ALARM],
    spawns=[CHILD],
).rules(add, tell, later, alarm, decide, bear, end)


class Transfer(Message):
    """Send `amount` to the account `to`, as transfer number `number`."""

    to: Ref[Credit]
    amount: int
    number: int


class Credit(Message):
    amount: int
    number: int


class Spree(Message):
    """Have transfers `first` to `first + count - 1` made, between accounts in turn."""

    accounts: tuple[Ref[Transfer], ...]
    first: int
    count: int


class Book(Value):
    """The balance; how many transfers were sent and credited, the sum of credited numbers, and what was out of order.

    Numbers of one sender rise, so the last one of each sender tells order and repeats.
    """

    balance: int = 1_000_000
    sent: int = 0
    credited: int = 0
    last: tuple[tuple[str, int], ...] = ()
    disordered: int = 0


@rule
def transfer(m: Transfer, t: Arrived[Transfer, None, Book]) -> Effects[Book, Credit]:
    book = t.env.state
    after = Book(book.balance - m.amount, book.sent + 1, book.credited, book.last, book.disordered)
    return [Become(after), Send(m.to, Credit(m.amount, m.number))]


@rule
def credit(m: Credit, t: Arrived[Credit, None, Book]) -> Effects[Book, Credit]:
    book, sender = t.env.state, t.sender
    last = dict(book.last)
    disordered = book.disordered + (last.get(sender, 0) >= m.number)
    last[sender] = m.number
    return Book(book.balance + m.amount, book.sent, book.credited + 1, tuple(sorted(last.items())), disordered)


ACCOUNT = Family("account", accepts=Transfer | Credit, emits=Credit, state=Book()).rules(transfer, credit)


class Orders(Value):
    given: int = 0


@rule
def order(m: Spree, t: Arrived[Spree, None, Orders]) -> Effects[Orders, Transfer]:
    def one(number: int) -> Send[Transfer]:
        at = number % len(m.accounts)
        to = m.accounts[(at + 1 + number // len(m.accounts) % (len(m.accounts) - 1)) % len(m.accounts)]
        return Send(m.accounts[at], Transfer(to, 1 + number % 7, number))

    return [Become(Orders(t.env.state.given + m.count)), *map(one, range(m.first, m.first + m.count))]


TELLER = Family("teller", accepts=Spree, emits=Transfer, state=Orders()).rules(order)
