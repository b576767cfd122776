"""A ticker that carries on under a new name: at every multiple of a number it spawns its continuation, and ends.

An engine cannot change its name. To go on under another one it spawns a continuation with the state reached. Mail that
still comes under the old name is a dead letter, so the ticker sends its listener the new address.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from engines.examples.ticker import Count, Counted, Increment, Ticks
from engines.model import Arrived, Become, Config, Effects, Family, Message, Ref, Send, Spawn, Stop, rule


class Terms(Config):
    """A ticker ends at each multiple of `every`, and sends `listener` the address of its continuation."""

    every: int
    listener: Ref[Continued] | None = None


class Continued(Message):
    """The ticker ended at `count`; `ticker` carries on."""

    count: int
    ticker: Ref[Increment | Count]


Incremented = Arrived[Increment, Terms, Ticks]


def at_end(t: Incremented) -> Ticks | None:
    """The count with this increment, if it is a multiple."""
    count = t.env.state.count + 1
    return Ticks(count) if count % t.config.every == 0 else None


@rule(when=at_end)
def carry_on(ticks: Ticks, t: Incremented) -> Effects[Ticks, Counted | Continued]:
    """State: the last count. Messages: the new address. Timers: none. Engines: the continuation, with this count."""
    following = Spawn(TICKER, "next", t.config, ticks)
    told = [Send(t.config.listener, Continued(ticks.count, t.child("next")))] if t.config.listener else []
    return [Become(ticks), following, *told, Stop()]


@rule(priority=1)
def increment(_one: Increment, t: Incremented) -> Effects[Ticks, Counted | Continued]:
    """State: one more. Messages, timers, engines: none."""
    return Ticks(t.env.state.count + 1)


@rule
def tell(request: Count, t: Arrived[Count, Terms, Ticks]) -> Effects[Ticks, Counted | Continued]:
    """State: none. Messages: the count, to the destination. Timers, engines: none."""
    return Send(request.destination, Counted(t.env.state.count))


TICKER = Family(
    "ticker-with-continuation", config=Terms, state=Ticks(), accepts=Increment | Count, emits=Counted | Continued
).rules(carry_on, increment, tell)


class Beat(Message):
    """To a drummer: send `times` increments to `ticker`."""

    times: Annotated[int, Meta(ge=0, le=10_000)]
    ticker: Ref[Increment]


@rule
def beat(order: Beat, _t: Arrived[Beat, None, None]) -> Effects[None, Increment]:
    """State: none. Messages: the increments. Timers, engines: none."""
    return [Send(order.ticker, Increment())] * order.times


DRUMMER = Family("drummer", accepts=Beat, emits=Increment).rules(beat)
