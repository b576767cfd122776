"""Engines that hand on more than they get, slowly, so that a ring of them stands still; for tests of circles."""

from __future__ import annotations

import time

from engines.model import (
    Arrived,
    Become,
    Box,
    Choose,
    Config,
    Device,
    DeviceHost,
    Effects,
    Elapsed,
    Family,
    Handle,
    Interaction,
    Message,
    Ref,
    Send,
    SetTimer,
    Timer,
    Value,
    interactive_rule,
    rule,
)


class Drop(Message):
    """To be handed on `left` times more, each time doubled."""

    left: int


class Pour(Message):
    """Send so many drops to the next one, at once."""

    count: int
    left: int


class Hold(Message):
    """Stand at a choice."""


class Place(Config):
    next: Ref[Drop]
    take_ms: float = 1.0
    copies: int = 2
    burst: int = 200


class Counts(Value):
    """Drops that came, and that were made for the next one."""

    seen: int = 0
    made: int = 0


@rule
def hand_on(drop: Drop, t: Arrived[Drop, Place, Counts]) -> Effects[Counts, Drop]:
    """State: counts. Messages: two drops for one. Timers, engines: none."""
    time.sleep(t.config.take_ms / 1e3)
    copies = t.config.copies if drop.left else 0
    counts = Counts(t.env.state.seen + 1, t.env.state.made + copies)
    return [Become(counts), *(Send(t.config.next, Drop(drop.left - 1)) for _ in range(copies))]


@rule
def pour(order: Pour, t: Arrived[Pour, Place, Counts]) -> Effects[Counts, Drop]:
    """State: counts. Messages: drops. Timers, engines: none."""
    counts = Counts(t.env.state.seen, t.env.state.made + order.count)
    return [Become(counts), *(Send(t.config.next, Drop(order.left)) for _ in range(order.count))]


@interactive_rule
def hold(order: Hold, t: Arrived[Hold, Place, Counts]) -> Interaction[Counts, Drop]:
    yield Choose(("go",))
    return t.env.state


RELAY = Family("relay", config=Place, accepts=Drop | Pour | Hold, emits=Drop, state=Counts()).rules(hand_on, pour, hold)


class Start(Message):
    """Have all send so many drops."""

    count: int
    left: int


class Places(Config):
    to: tuple[Ref[Pour], ...]


@rule
def start(order: Start, t: Arrived[Start, Places, None]) -> Effects[None, Pour]:
    """Messages: an order for each. State, timers, engines: none."""
    return [Send(place, Pour(order.count, order.left)) for place in t.config.to]


STARTER = Family("starter", config=Places, accepts=Start, emits=Pour).rules(start)

LOSSY_BOX = Box(0, accepts=Drop | Pour | Hold, lossy=True)
LEAKY = Family("leaky", config=Place, accepts=Drop | Pour | Hold, emits=Drop, state=Counts(), boxes=[LOSSY_BOX]).rules(
    hand_on, pour, hold
)
"""The same, with a mailbox that may lose what is old."""

NEXT = Timer("next")
TICK_NS = 1_000_000


@rule
def begin(order: Pour, t: Arrived[Pour, Place, Counts]) -> Effects[Counts, Drop]:
    """Timers: the first tick. State, messages, engines: none."""
    return [SetTimer(NEXT, after_ns=TICK_NS)]


@rule(timer=NEXT)
def flow(handle: Handle, t: Elapsed[Place, Counts]) -> Effects[Counts, Drop]:
    """State: counts. Messages: a burst. Timers: the next tick. Engines: none."""
    burst = t.config.burst
    counts = Counts(0, t.env.state.made + burst)
    return [Become(counts), *(Send(t.config.next, Drop(0)) for _ in range(burst)), SetTimer(NEXT, after_ns=TICK_NS)]


FLOOD = Family("flood", config=Place, accepts=Pour, emits=Drop, state=Counts(), timers=[NEXT]).rules(begin, flow)
"""Sends for ever, as much as it may."""


class Driver:
    """Receives nothing while it waits to send."""

    async def run(self, host: DeviceHost) -> None:
        while True:
            match (await host.receive()).message:
                case Drop(left) if left:
                    for _ in range(2):
                        await host.send_when_writable(host.config.next, Drop(left - 1))
                case Pour(count, left):
                    for _ in range(count):
                        await host.send_when_writable(host.config.next, Drop(left))


PUMP = Device("pump", config=Place, accepts=Drop | Pour, emits=Drop, driver=Driver)
