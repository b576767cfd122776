"""Large messages from one engine to another, read where they lie: what `bench large` measures, counted in bytes."""

from __future__ import annotations

from engines.benchmark.oneway import Seen
from engines.model import Arrived, Become, Blob, Device, DeviceHost, Effects, Family, Message, Ref, Send, Value, rule

PAGE = 4096


class Chunk(Message):
    """A large field, and the sum of one byte of each of its pages."""

    content: Blob
    total: int


class EmitChunks(Message):
    """To the source: send `count` chunks of `size` bytes to `target`."""

    count: int
    size: int
    target: Ref[Chunk]


class Pull(Message):
    """Begin again: order `count` chunks of `size` bytes from `source`, and report to `listener` once they came."""

    count: int
    size: int
    source: Ref[EmitChunks]
    listener: Ref[Seen]


class Pulled(Value):
    """Chunks still to come, bytes that came, and when they were ordered."""

    left: int = 0
    count: int = 0
    began_ns: int = 0
    listener: Ref[Seen] | None = None


def page_total(content: memoryview) -> int:
    """The sum of one byte of each page: touches all pages of a chunk without copying them."""
    return sum(content[::PAGE])


@rule
def take(chunk: Chunk, t: Arrived[Chunk, None, Pulled]) -> Effects[Pulled, Seen | EmitChunks]:
    """State: the bytes of a chunk more. Messages: after the last one, to the listener. Timers, engines: none."""
    if page_total(chunk.content.view) != chunk.total:
        raise ValueError("a chunk is not what was sent")
    pulled = t.env.state
    after = Pulled(pulled.left - 1, pulled.count + len(chunk.content), pulled.began_ns, pulled.listener)
    if after.left or after.listener is None:
        return after
    return [Become(Pulled()), Send(after.listener, Seen(after.count, t.now_ns - after.began_ns))]


@rule
def pull(order: Pull, t: Arrived[Pull, None, Pulled]) -> Effects[Pulled, Seen | EmitChunks]:
    """State: begun again. Messages: the order, to the source. Timers, engines: none."""
    emit = EmitChunks(order.count, order.size, Ref(t.me.name))
    return [Become(Pulled(order.count, 0, t.now_ns, order.listener)), Send(order.source, emit)]


class Hauling:
    """The source's driver: makes a chunk once, and sends it as often as ordered."""

    def __init__(self) -> None:
        self._chunk = Chunk(Blob(), 0)

    async def run(self, host: DeviceHost) -> None:
        """Live until cancelled."""
        while True:
            await self._haul(host, (await host.receive()).message)

    async def _haul(self, host: DeviceHost, order: EmitChunks) -> None:
        if len(self._chunk.content) != order.size:
            content = bytes(range(251)) * (order.size // 251 + 1)
            view = memoryview(content)[: order.size]
            self._chunk = Chunk(Blob(view), page_total(view))
        for _ in range(order.count):
            await host.send_when_writable(order.target, self._chunk)


PULLER = Family("puller", state=Pulled(), accepts=Chunk | Pull, emits=Seen | EmitChunks).rules(take, pull)
HAULER = Device("hauler", accepts=EmitChunks, emits=Chunk, driver=Hauling)
