"""The life of a worker: what the zygote calls in a new child, and which kind of worker its first packet asks for."""

from __future__ import annotations

import os
import socket
import sys

from host.live import wire
from host.live.confine import confine
from host.live.packets import Channel, worker_end
from host.live.worker.greeting import first_packet, introduce
from host.live.worker.loading import loader
from host.live.worker.loop import Worker
from host.live.worker.own_link import open_link
from host.live.worker.parts import Outset
from transport.port import Closed


def main(sock_fd: int) -> None:
    """The life of a worker, from its fork to its exit; called by the zygote with the supervisor's socket."""
    channel = worker_end(socket.socket(fileno=sock_fd))
    try:
        introduce(channel)
        boot, descriptors = first_packet(channel)
        confine(boot.memory_bytes, boot.cpu_ns)
        if boot.core is not None:
            os.sched_setaffinity(0, {boot.core})
        live(channel, boot, descriptors)
    except Closed:
        sys.exit(0)


def live(channel: Channel[wire.ToWorker], boot: wire.Boot, descriptors: list[int]) -> None:
    """Be what the first packet says: a worker, a worker for devices, or a candidate that becomes one of them."""
    if boot.candidate:
        from host.live.worker.candidate import adopt_and_run

        adopt_and_run(channel, boot, descriptors)
        return
    own, load, own_log = open_link(boot, descriptors), loader(boot.roots, check=False, code=boot.code), None
    if boot.device:
        from host.live.worker.device_loop import run_devices

        run_devices(Outset(channel, boot, own, load), lambda worker: worker.bear(boot.births))
        return
    if boot.journal:
        from host.live.worker.own_log import try_open_log

        own_log = try_open_log(channel, boot, own, load)
        if own_log is None:
            return
    worker = Worker(Outset(channel, boot, own, load, own_log))
    worker.bear(boot.births)
    worker.run(held=boot.held)
