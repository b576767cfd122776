"""A parent of children that say their last words and end, and somebody who notes every word heard."""

from __future__ import annotations

from typing import Never

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


class Word(Message):
    number: int


class Speak(Message):
    """Say words `first` to `first + count - 1`; `leave`: and end."""

    to: Ref[Word]
    first: int
    count: int
    leave: bool


class Bear(Message):
    count: int


class Bid(Message):
    """Have a child of yours speak."""

    child: Ref[Speak]
    order: Speak


class Heard(Value):
    """Senders and numbers, in the order of arrival."""

    words: tuple[tuple[str, int], ...] = ()


@rule
def speak(order: Speak, t: Arrived[Speak, None, None]) -> Effects[None, Word]:
    words = [Send(order.to, Word(n)) for n in range(order.first, order.first + order.count)]
    return [*words, Stop()] if order.leave else words


CHILD = Family("child", accepts=Speak, emits=Word).rules(speak)


@rule
def bear(order: Bear, t: Arrived[Bear, None, None]) -> Effects[None, Never]:
    return [Spawn(CHILD, Numbered("child"))] * order.count


@rule
def bid(order: Bid, t: Arrived[Bid, None, None]) -> Effects[None, Speak]:
    return [Send(order.child, order.order)]


PARENT = Family("parent", accepts=Bear | Bid, emits=Speak, spawns=[CHILD]).rules(bear, bid)


@rule
def hear(word: Word, t: Arrived[Word, None, Heard]) -> Effects[Heard, Never]:
    return [Become(Heard((*t.env.state.words, (t.sender, word.number))))]


LISTENER = Family("listener", accepts=Word, state=Heard()).rules(hear)
