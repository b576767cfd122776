"""Many records as one message, taken by one trigger: what `bench batch` measures, counted in records."""

from __future__ import annotations

from engines.benchmark.oneway import Record, Seen
from engines.model import Arrived, Become, Device, DeviceHost, Effects, Family, Message, Ref, Send, Value, rule


class Batch(Message):
    """Records that travel together."""

    records: tuple[Record, ...]


class EmitBatches(Message):
    """To the source: send `batch` to `target` `count` times."""

    count: int
    batch: Batch
    target: Ref[Batch]


class Fetch(Message):
    """Begin again: order `count` batches from `source`, and report to `listener` once they came."""

    count: int
    source: Ref[EmitBatches]
    batch: Batch
    listener: Ref[Seen]


class Load(Value):
    """Batches still to come, records that came, and when they were ordered."""

    left: int = 0
    count: int = 0
    began_ns: int = 0
    listener: Ref[Seen] | None = None


@rule
def unload(batch: Batch, t: Arrived[Batch, None, Load]) -> Effects[Load, Seen | EmitBatches]:
    """State: the records of a batch more. Messages: after the last one, to the listener. Timers, engines: none."""
    load = t.env.state
    after = Load(load.left - 1, load.count + len(batch.records), load.began_ns, load.listener)
    if after.left or after.listener is None:
        return after
    return [Become(Load()), Send(after.listener, Seen(after.count, t.now_ns - after.began_ns))]


@rule
def fetch(order: Fetch, t: Arrived[Fetch, None, Load]) -> Effects[Load, Seen | EmitBatches]:
    """State: a new load. Messages: the order, to the source. Timers, engines: none."""
    emit = EmitBatches(order.count, order.batch, Ref(t.me.name))
    return [Become(Load(order.count, 0, t.now_ns, order.listener)), Send(order.source, emit)]


class Shipping:
    """The source's driver: waits for an order, carries it out, waits for the next."""

    async def run(self, host: DeviceHost) -> None:
        """Live until cancelled."""
        while True:
            await self._ship(host, (await host.receive()).message)

    async def _ship(self, host: DeviceHost, order: EmitBatches) -> None:
        send, target, batch = host.send, order.target, order.batch
        for _ in range(order.count):
            while not send(target, batch):
                await host.writable(target)


UNLOADER = Family("unloader", state=Load(), accepts=Batch | Fetch, emits=Seen | EmitBatches).rules(unload, fetch)
SHIPPER = Device("shipper", accepts=EmitBatches, emits=Batch, driver=Shipping)
