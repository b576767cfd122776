"""One source, records to many engines in turn: what `bench fanout` measures.

A device deals out records and sends `Enough` on the same way behind them. Every hand then reports to the table when its
first record came and when the last one was in; engines of a node share one clock.
"""

from __future__ import annotations

from engines.benchmark.oneway import Record, Seen
from engines.model import Arrived, Become, Device, DeviceHost, Effects, Family, Message, Ref, Send, Value, rule


class Deal(Message):
    """To the dealer: `each` records to every hand, in turn, then `Enough` with `table`."""

    each: int
    record: Record
    hands: tuple[Ref[Record | Enough], ...]
    table: Ref[Reached]


class Enough(Message):
    """No more records come; report to `table`."""

    table: Ref[Reached]


class Reached(Message):
    """`count` records reached a hand, between these instants."""

    count: int
    first_ns: int
    last_ns: int


class Play(Message):
    """To the table: have records dealt, and report to `listener` once every hand has its own."""

    each: int
    record: Record
    dealer: Ref[Deal]
    hands: tuple[Ref[Record | Enough], ...]
    listener: Ref[Seen]


class Hand(Value):
    """Records so far, and when the first one came."""

    count: int = 0
    first_ns: int = 0


class Table(Value):
    """Hands that have not reported, and the totals of the others."""

    left: int = 0
    count: int = 0
    first_ns: int = 0
    last_ns: int = 0
    listener: Ref[Seen] | None = None


@rule
def take(_record: Record, t: Arrived[Record, None, Hand]) -> Effects[Hand, Reached]:
    """State: one more. Messages, timers, engines: none."""
    hand = t.env.state
    return Hand(hand.count + 1, hand.first_ns or t.now_ns)


@rule
def report(enough: Enough, t: Arrived[Enough, None, Hand]) -> Effects[Hand, Reached]:
    """State: empty again. Messages: the count and times, to the table. Timers, engines: none."""
    hand = t.env.state
    return [Become(Hand()), Send(enough.table, Reached(hand.count, hand.first_ns, t.now_ns))]


@rule
def play(order: Play, t: Arrived[Play, None, Table]) -> Effects[Table, Deal | Seen]:
    """State: no hand has reported. Messages: the order, to the dealer. Timers, engines: none."""
    deal = Deal(order.each, order.record, order.hands, Ref(t.me.name))
    return [Become(Table(len(order.hands), listener=order.listener)), Send(order.dealer, deal)]


@rule
def note(reached: Reached, t: Arrived[Reached, None, Table]) -> Effects[Table, Deal | Seen]:
    """State: one hand less to come. Messages: after the last one the total, to the listener. Others: none."""
    table = t.env.state
    after = Table(
        table.left - 1,
        table.count + reached.count,
        min(table.first_ns or reached.first_ns, reached.first_ns),
        max(table.last_ns, reached.last_ns),
        table.listener,
    )
    if after.left or after.listener is None:
        return after
    return [Become(Table()), Send(after.listener, Seen(after.count, after.last_ns - after.first_ns))]


class Dealing:
    """The dealer's driver: waits for an order, carries it out, waits for the next."""

    async def run(self, host: DeviceHost) -> None:
        """Live until cancelled."""
        while True:
            await self._deal(host, (await host.receive()).message)

    async def _deal(self, host: DeviceHost, order: Deal) -> None:
        send, record, hands = host.send, order.record, order.hands
        for _ in range(order.each):
            for hand in hands:
                while not send(hand, record):
                    await host.writable(hand)
        for hand in hands:
            await host.send_when_writable(hand, Enough(order.table))


HAND = Family("hand", state=Hand(), accepts=Record | Enough, emits=Reached).rules(take, report)
TABLE = Family("table", state=Table(), accepts=Play | Reached, emits=Deal | Seen).rules(play, note)
DEALER = Device("dealer", accepts=Deal, emits=Record | Enough, driver=Dealing)
