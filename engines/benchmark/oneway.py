"""A stream of records into one engine: what `bench oneway` measures.

The sink has a guard and an action that run for each record. It reports to a listener when it has seen the count it was
armed with, timed by its own clock from the order on, so that neither start-up nor the command line is in the figure.
The records come from a device (`engines.benchmark.source`), because a driver may send without being asked each time.
"""

from __future__ import annotations

from engines.model import Arrived, Become, Effects, Family, Message, Ref, Send, Value, rule


class Record(Message):
    """A typed record of 100 bytes on the wire, as `bench.record` fills it."""

    key: bytes
    sequence: int
    source: str


class Seen(Message):
    """`count` records came in `took_ns`, from the order for them to the last."""

    count: int
    took_ns: int


class Emit(Message):
    """To the source: send `record` to `target` `count` times."""

    count: int
    record: Record
    target: Ref[Record]


class Reset(Message):
    """Begin again: order `count` records from `source`, and report to `listener` once they came."""

    count: int
    source: Ref[Emit]
    record: Record
    listener: Ref[Seen]


class Armed(Value):
    """The number of records ordered, when, and the listener to report to."""

    count: int
    began_ns: int
    listener: Ref[Seen]


class Tally(Value):
    """Records still to come of those ordered."""

    left: int = 0
    armed: Armed | None = None


Recorded = Arrived[Record, None, Tally]


def expected(t: Recorded) -> int | None:
    """How many records are left after this one, unless it is the last, or none was ordered."""
    left = t.env.state.left - 1
    return left if left > 0 else None


@rule(when=expected)
def counted(left: int, t: Recorded) -> Effects[Tally, Seen | Emit]:
    """State: one less to come. Messages, timers, engines: none."""
    return Tally(left, t.env.state.armed)


@rule(priority=1)
def last(_record: Record, t: Recorded) -> Effects[Tally, Seen | Emit]:
    """State: the empty tally. Messages: the count and time, to the listener, if records were ordered. Others: none."""
    armed = t.env.state.armed
    if armed is None:
        return []
    return [Become(Tally()), Send(armed.listener, Seen(armed.count, t.now_ns - armed.began_ns))]


@rule
def reset(order: Reset, t: Arrived[Reset, None, Tally]) -> Effects[Tally, Seen | Emit]:
    """State: a new tally. Messages: the order, to the source. Timers, engines: none."""
    tally = Tally(order.count, Armed(order.count, t.now_ns, order.listener))
    return [Become(tally), Send(order.source, Emit(order.count, order.record, Ref(t.me.name)))]


SINK = Family("record-sink", state=Tally(), accepts=Record | Reset, emits=Seen | Emit).rules(counted, last, reset)
