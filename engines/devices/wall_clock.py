"""A wall clock: sends the time of day on request.

Engines have a clock of their own, which starts with the node and never goes back. The wall clock is the machine's,
which people and other machines can set. It is input from outside, so it enters through a device.
"""

from __future__ import annotations

import time

from engines.model import Arrived, Device, DeviceHost, Effects, Family, Message, Ref, Send, rule


class ReadClock(Message):
    """Send the time of day to `destination`."""

    destination: Ref[ClockReading]


class ClockReading(Message):
    """The time of day: nanoseconds since the epoch, UTC."""

    wall_ns: int


class WallClock:
    """The driver: one answer a question, in order."""

    async def run(self, host: DeviceHost) -> None:
        """Run until cancelled."""
        while True:
            request = (await host.receive()).message
            await host.send_when_writable(request.destination, ClockReading(time.time_ns()))


@rule
def read(request: ReadClock, t: Arrived[ReadClock, None, None]) -> Effects[None, ClockReading]:
    """Twin: the engine's own clock. State: none. Messages: the time, to the destination. Timers, engines: none."""
    return Send(request.destination, ClockReading(t.now_ns))


TWIN = Family("wall-clock-twin", accepts=ReadClock, emits=ClockReading).rules(read)
CLOCK = Device("wall-clock", accepts=ReadClock, emits=ClockReading, driver=WallClock, twin=TWIN)
