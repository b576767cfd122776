"""A stream of records into one engine: what `bench oneway` measures.

The sink has a guard and an action that run for each record. It tells a listener when it has seen the count it was armed
with, by its own clock, so that neither start-up nor the command line is in the figure. The records come from a device
(`engines.benchmark.source`), because a driver may send without being asked each time.
"""

from __future__ import annotations

from engines.model import Arrived, Become, Effects, Family, Message, Ref, Send, Value, rule


class Record(Message):
    """A typed record of 100 bytes on the wire, as `bench.record` fills it."""

    key: bytes
    sequence: int
    source: str


class Seen(Message):
    """`count` records came in `took_ns`, from the first to the last."""

    count: int
    took_ns: int


class Emit(Message):
    """To the source: send `record` to `target` `count` times."""

    count: int
    record: Record
    target: Ref[Record]


class Reset(Message):
    """Begin again: order `count` records from `source`, and tell `listener` once they came."""

    count: int
    source: Ref[Emit]
    record: Record
    listener: Ref[Seen]


class Tally(Value):
    """Records still to come, of how many, and when the first one came."""

    left: int = 0
    count: int = 0
    first_ns: int = 0
    listener: Ref[Seen] | None = None


Recorded = Arrived[Record, None, Tally]


def expected(t: Recorded) -> Tally | None:
    """The tally after this record, while records are expected and the last one is not due."""
    tally = t.env.state
    if tally.left < 2:
        return None
    return Tally(tally.left - 1, tally.count, tally.first_ns or t.now_ns, tally.listener)


@rule(when=expected)
def counted(tally: Tally, _t: Recorded) -> Effects[Tally, Seen | Emit]:
    """State: one less to come. Messages, timers, engines: none."""
    return tally


@rule(priority=1)
def last(_record: Record, t: Recorded) -> Effects[Tally, Seen | Emit]:
    """State: the empty tally. Messages: what was seen, to the listener, if this was the last one. Others: none."""
    tally = t.env.state
    if tally.left != 1 or tally.listener is None:
        return []
    return [Become(Tally()), Send(tally.listener, Seen(tally.count, t.now_ns - tally.first_ns))]


@rule
def reset(order: Reset, t: Arrived[Reset, None, Tally]) -> Effects[Tally, Seen | Emit]:
    """State: a new tally. Messages: the order, to the source. Timers, engines: none."""
    tally = Tally(order.count, order.count, 0, order.listener)
    return [Become(tally), Send(order.source, Emit(order.count, order.record, Ref(t.me.name)))]


SINK = Family("record-sink", state=Tally(), accepts=Record | Reset, emits=Seen | Emit).rules(counted, last, reset)
