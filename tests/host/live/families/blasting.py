"""A device that sends a stream, and one that echoes, for tests of device workers and of order under load."""

from __future__ import annotations

from engines.model import Arrived, Device, DeviceHost, Family, Message, Ref, Send, Value, rule


class Blast(Message):
    """Send `count` numbered items to `target`."""

    count: int
    target: Ref[Item]


class Item(Message):
    number: int
    payload: bytes = b"x" * 80


class Fall(Message):
    """The driver raises."""


class Leave(Message):
    """The driver returns."""


class Blaster:
    async def run(self, host: DeviceHost) -> None:
        while True:
            match (await host.receive()).message:
                case Blast(count, target):
                    await self._blast(host, count, target)
                case Fall():
                    raise RuntimeError("as asked")
                case Leave():
                    return

    async def _blast(self, host: DeviceHost, count: int, target: Ref[Item]) -> None:
        """Every second item by the other call: what one task sends keeps its order across both."""
        send = host.send
        for number in range(count):
            item = Item(number)
            if number % 2:
                await host.send_when_writable(target, item)
                continue
            while not send(target, item):
                await host.writable(target)


BLASTER = Device("blaster", accepts=Blast | Fall | Leave, emits=Item, driver=Blaster)


class Seen(Value):
    count: int = 0
    disorder: int = 0
    next: int = 0
    first_ns: int = 0
    last_ns: int = 0


class Report(Message):
    """Tell what was seen."""

    reply_to: Ref[Sight]


class Sight(Message):
    count: int
    disorder: int
    took_ns: int
    version: int = 1


def is_next(t: Arrived[Item, None, Seen]) -> Seen | None:
    seen = t.env.state
    if t.message.number != seen.next:
        return None
    return Seen(seen.count + 1, seen.disorder, seen.next + 1, seen.first_ns or t.now_ns, t.now_ns)


@rule(when=is_next)
def in_order(seen: Seen, t: Arrived[Item, None, Seen]) -> Seen:
    return seen


@rule(priority=1)
def out_of_order(item: Item, t: Arrived[Item, None, Seen]) -> Seen:
    seen = t.env.state
    return Seen(seen.count + 1, seen.disorder + 1, item.number + 1, seen.first_ns, t.now_ns)


VERSION = 1


@rule
def report(asked: Report, t: Arrived[Report, None, Seen]) -> list[Send[Sight]]:
    seen = t.env.state
    return [Send(asked.reply_to, Sight(seen.count, seen.disorder, seen.last_ns - seen.first_ns, VERSION))]


WATCHER = Family("watcher", accepts=Item | Report, emits=Sight, state=Seen()).rules(in_order, out_of_order, report)
"""Counts items, and those that did not follow their predecessor."""
