"""The first packets between a worker and its supervisor."""

from __future__ import annotations

import os
import select
from collections.abc import Callable

from host.live import wire
from host.live.packets import Channel, close_all
from transport.port import Broken


def introduce(channel: Channel[wire.ToWorker]) -> None:
    """Say who this is, with a descriptor that tells of its end."""
    pidfd = os.pidfd_open(os.getpid())
    channel.send(wire.Hello(os.getpid()), [pidfd])
    close_all([pidfd])


def first_packet(channel: Channel[wire.ToWorker]) -> tuple[wire.Boot, list[int]]:
    """Wait for `Boot`. Raises `Closed`, and `Broken` for anything else."""
    packet, descriptors = next_packet(channel)
    if not isinstance(packet, wire.Boot):
        raise Broken(f"worker: {type(packet).__name__} before Boot")
    return packet, descriptors


def next_packet(
    channel: Channel[wire.ToWorker], meanwhile: Callable[[], int | None] = lambda: None
) -> tuple[wire.ToWorker, list[int]]:
    """Wait for the supervisor, for as long as it lives. Raises `Closed`.

    `meanwhile` is called before each wait, and returns the milliseconds after which it wants to be called again.
    """
    poll = select.poll()
    poll.register(channel.fileno(), select.POLLIN)
    while True:
        received = channel.receive()
        if received is not None:
            return received
        poll.poll(meanwhile())
