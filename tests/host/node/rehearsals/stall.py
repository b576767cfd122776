"""A stall: a family with every kind of trigger, whose versions a rehearsal compares."""

from __future__ import annotations

from msgspec.structs import replace

from engines.model import (
    Arrived,
    Become,
    Box,
    CancelTimer,
    Effects,
    Elapsed,
    Family,
    Handle,
    Map,
    Message,
    Put,
    Ref,
    Send,
    SetTimer,
    Timer,
    Value,
    rule,
)


class Order(Message):
    """Buy."""

    item: str
    count: int
    buyer: Ref[Receipt]


class Refill(Message):
    """More to sell."""

    item: str
    count: int


class Hold(Message):
    """Keep it for me."""

    item: str


class Close(Message):
    """Sell nothing more."""


class Receipt(Message):
    """What was sold."""

    item: str
    count: int
    price: int


class Stock(Value):
    """What there is, what was earned, and the last sales."""

    items: Map[str, int] = Map()
    earned: int = 0
    log: tuple[str, ...] = ()
    is_open: bool = True


class Seen(Value):
    """Orders answered; of the mailbox."""

    orders: int = 0


PRICE = 3
FREE_FROM = 10
INBOX = Box(0, accepts=Order | Refill | Hold | Close, start=Seen())
CLOSING = Timer("closing")


def price_of(count: int) -> int:
    """The tenth is free."""
    return PRICE * (count if count < FREE_FROM else count - 1)


def in_stock(t: Arrived[Order, None, Stock]) -> int | None:
    """What would be left."""
    left = t.env.state.items.get(t.message.item, 0) - t.message.count
    return left if left >= 0 and t.env.state.is_open else None


@rule(when=in_stock)
def sell(left: int, t: Arrived[Order, None, Stock]) -> Effects[Stock, Receipt]:
    """All four."""
    order, stock = t.message, t.env.state
    price = price_of(order.count)
    sold = replace(
        stock,
        items=stock.items.set(order.item, left),
        earned=stock.earned + price,
        log=(*stock.log, order.item)[-5:],
    )
    return [
        Become(sold),
        Put(INBOX, Seen(t.env[INBOX].state.orders + 1)),
        Send(order.buyer, Receipt(order.item, order.count, price)),
        SetTimer(CLOSING, at_ns=t.now_ns + 50),
    ]


@rule(priority=1)
def turn_down(order: Order, t: Arrived[Order, None, Stock]) -> Effects[Stock, Receipt]:
    """Messages: a receipt for nothing."""
    return Send(order.buyer, Receipt(order.item, 0, 0))


@rule
def refill(refill: Refill, t: Arrived[Refill, None, Stock]) -> Effects[Stock, Receipt]:
    """State: more of it."""
    if refill.count < 0:
        raise ValueError("less than nothing")
    items = t.env.state.items
    return replace(t.env.state, items=items.set(refill.item, items.get(refill.item, 0) + refill.count))


def is_known(t: Arrived[Hold, None, Stock]) -> bool | None:
    """Whether it was ever there; otherwise the message is stored."""
    return True if t.message.item in t.env.state.items else None


@rule(when=is_known)
def hold(_known: bool, t: Arrived[Hold, None, Stock]) -> Effects[Stock, Receipt]:
    """State: noted."""
    return replace(t.env.state, log=(*t.env.state.log, f"hold {t.message.item}"))


@rule
def close(close: Close, t: Arrived[Close, None, Stock]) -> Effects[Stock, Receipt]:
    """State: closed. Timers: none is pending."""
    return [Become(replace(t.env.state, is_open=False)), CancelTimer(CLOSING)]


@rule(timer=CLOSING)
def closing(_due: Handle, t: Elapsed[None, Stock]) -> Effects[Stock, Receipt]:
    """State: what was earned, in the log."""
    return replace(t.env.state, log=(*t.env.state.log, f"earned {t.env.state.earned}"))


STALL = Family(
    "stall", state=Stock(), accepts=Order | Refill | Hold | Close, emits=Receipt, boxes=[INBOX], timers=[CLOSING]
).rules(sell, turn_down, refill, hold, close, closing)
