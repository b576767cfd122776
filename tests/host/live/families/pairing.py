"""A sender that numbers its messages, and a receiver that keeps all numbers it has handled, in order."""

from __future__ import annotations

from typing import Never

from engines.model import Arrived, Become, Effects, Family, Message, Ref, Send, Value, rule


class Numbered(Message):
    n: int


class Go(Message):
    """Send `first` to `first + count - 1` to each of `to`."""

    to: tuple[Ref[Numbered], ...]
    first: int
    count: int


class Orders(Value):
    taken: tuple[int, ...] = ()
    """The first number of each."""


class Trail(Value):
    numbers: tuple[int, ...] = ()


@rule
def go(order: Go, t: Arrived[Go, None, Orders]) -> Effects[Orders, Numbered]:
    """State: the order. Messages: its numbers, to each in turn. Timers, engines: none."""
    sends = [Send(to, Numbered(n)) for n in range(order.first, order.first + order.count) for to in order.to]
    return [Become(Orders((*t.env.state.taken, order.first))), *sends]


@rule
def take(m: Numbered, t: Arrived[Numbered, None, Trail]) -> Effects[Trail, Never]:
    """State: one number more. Messages, timers, engines: none."""
    return Trail((*t.env.state.numbers, m.n))


SENDER = Family("pair_sender", accepts=Go, emits=Numbered, state=Orders()).rules(go)
RECEIVER = Family("pair_receiver", accepts=Numbered, state=Trail()).rules(take)
