"""A ticker: it counts, and sends the count on request."""

from __future__ import annotations

from engines.model import Arrived, Effects, Family, Message, Ref, Send, Value, rule


class Increment(Message):
    """One more."""


class Count(Message):
    """Send the count to `destination`."""

    destination: Ref[Counted]


class Counted(Message):
    """The count."""

    count: int


class Ticks(Value):
    """State: the number of increments so far."""

    count: int = 0


@rule
def increment(_one: Increment, t: Arrived[Increment, None, Ticks]) -> Effects[Ticks, Counted]:
    """State: one more. Messages, timers, engines: none."""
    return Ticks(t.env.state.count + 1)


@rule
def tell(request: Count, t: Arrived[Count, None, Ticks]) -> Effects[Ticks, Counted]:
    """State: none. Messages: the count, to the destination. Timers, engines: none."""
    return Send(request.destination, Counted(t.env.state.count))


TICKER = Family("ticker", state=Ticks(), accepts=Increment | Count, emits=Counted).rules(increment, tell)
