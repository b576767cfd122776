"""Records from several sources, or through several stages, into one engine: `bench fanin` and `bench pipeline`.

The gatherer counts as the sink of `engines.benchmark.oneway` does. Only the order differs: it goes to many sources, and
names the engine that their records go to first.
"""

from __future__ import annotations

from engines.benchmark.oneway import Emit, Record, Seen
from engines.model import Arrived, Become, Config, Effects, Family, Message, Ref, Send, Value, rule


class Gather(Message):
    """Begin again: order `each` records from every source, for `target`; report to `listener` once all came here."""

    each: int
    sources: tuple[Ref[Emit], ...]
    target: Ref[Record]
    record: Record
    listener: Ref[Seen]


class Ordered(Value):
    """The number of records ordered, when, and the listener to report to."""

    count: int
    began_ns: int
    listener: Ref[Seen]


class Harvest(Value):
    """Records still to come of those ordered."""

    left: int = 0
    ordered: Ordered | None = None


@rule
def gathered(_record: Record, t: Arrived[Record, None, Harvest]) -> Effects[Harvest, Seen | Emit]:
    """State: one less to come. Messages: after the last one, to the listener. Timers, engines: none."""
    harvest = t.env.state
    if harvest.left > 1:
        return Harvest(harvest.left - 1, harvest.ordered)
    ordered = harvest.ordered
    if ordered is None:
        return []
    return [Become(Harvest()), Send(ordered.listener, Seen(ordered.count, t.now_ns - ordered.began_ns))]


@rule
def gather(order: Gather, t: Arrived[Gather, None, Harvest]) -> Effects[Harvest, Seen | Emit]:
    """State: a new harvest. Messages: the order, to every source. Timers, engines: none."""
    count = order.each * len(order.sources)
    emit = Emit(order.each, order.record, order.target)
    became = Become(Harvest(count, Ordered(count, t.now_ns, order.listener)))
    return [became, *(Send(source, emit) for source in order.sources)]


class Onward(Config):
    """Where a stage sends the records it receives."""

    next: Ref[Record]


class Passed(Value):
    """How many records a stage passed on."""

    count: int = 0


@rule
def pass_on(record: Record, t: Arrived[Record, Onward, Passed]) -> Effects[Passed, Record]:
    """State: one more. Messages: the record, to the next one. Timers, engines: none."""
    return [Become(Passed(t.env.state.count + 1)), Send(t.config.next, record)]


GATHERER = Family("gatherer", state=Harvest(), accepts=Record | Gather, emits=Seen | Emit).rules(gathered, gather)
STAGE = Family("stage", config=Onward, state=Passed(), accepts=Record, emits=Record).rules(pass_on)
