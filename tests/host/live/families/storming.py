"""A stage between a stream and its end, and an end that tells what is missing from what comes twice."""

from __future__ import annotations

from streaming import Numbered

from engines.model import Arrived, Config, Effects, Family, Message, Ref, Send, Value, rule


class Onward(Config):
    """Where a stage passes messages on."""

    next: Ref[Numbered]


class Census(Message):
    """`got` messages came; `missing` numbers were passed over; `back` were not above the one before."""

    got: int
    missing: int
    back: int


class Tell(Message):
    reply_to: Ref[Census]


class Come(Value):
    next_n: int = 0
    got: int = 0
    missing: int = 0
    back: int = 0


@rule
def pass_on(message: Numbered, t: Arrived[Numbered, Onward, None]) -> Effects[None, Numbered]:
    """Messages: the one that came. State, timers, engines: none."""
    return [Send(t.config.next, message)]


@rule
def take(message: Numbered, t: Arrived[Numbered, None, Come]) -> Effects[Come, Census]:
    """State: one more, and what it shows of the others. Messages, timers, engines: none."""
    come = t.env.state
    if message.n < come.next_n:
        return Come(come.next_n, come.got + 1, come.missing, come.back + 1)
    return Come(message.n + 1, come.got + 1, come.missing + message.n - come.next_n, come.back)


@rule
def tell(ask: Tell, t: Arrived[Tell, None, Come]) -> Effects[Come, Census]:
    """Messages: what came. State, timers, engines: none."""
    come = t.env.state
    return [Send(ask.reply_to, Census(come.got, come.missing, come.back))]


STAGE = Family("stage", config=Onward, accepts=Numbered, emits=Numbered).rules(pass_on)
END = Family("end", state=Come(), accepts=Numbered | Tell, emits=Census).rules(take, tell)
