"""One real worker process, and a test that plays its supervisor and its peers."""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from deadline import DEADLINE_S

from engines.model import encode, load_family
from host.config.spec import EngineSpec
from host.live import wire
from host.live.clock import offset_now
from host.live.control_page import Reading, new_control_page, read_control_page
from host.live.packets import Channel, channel_pair, close_all, read_memory_file, supervisor_end
from host.live.worker.entry import main
from host.node.news import Letter, Packet
from host.node.routing import Birth
from transport.port import LANE_BYTES, Frame

FAMILIES = str(Path(__file__).parent / "families")
SLOT = 1

COUNTER = "counting:COUNTER"
WATCHER = "blasting:WATCHER"
ASKER = "asking:ASKER"

P = TypeVar("P")


class Peer:
    """A slot of the test's own, attached to the worker's."""

    def __init__(self, number: int, worker_slot: tuple[int, int, int]) -> None:
        from transport.lanes import LaneLink, create_slot

        self.number = number
        self.memory = create_slot(LANE_BYTES)
        out, into, bell = self.memory
        self.link = LaneLink(number, os.dup(out), os.dup(into), os.dup(bell))
        out, into, bell = worker_slot
        self.link.attach(SLOT, os.dup(out), os.dup(into), os.dup(bell))
        self._frames: list[Frame] = []

    def send(self, target: str, *payloads: bytes, sender: str = "test", epoch: int = 1, next_n: int = 1) -> None:
        """Messages of one stream, published together."""
        outlet = self.link.outlet(SLOT, sender, target, 0, epoch, next_n)
        assert all(outlet.send(payload) for payload in payloads)
        self.link.flush()

    def frame(self) -> Frame:
        """The next frame for this slot."""
        deadline = time.monotonic() + DEADLINE_S
        while not self._frames:
            assert time.monotonic() < deadline, f"no frame within {DEADLINE_S:g} s"
            self.link.wait(10_000_000)
            self._frames = list(self.link.drain(100_000))
            self.link.release()
        return self._frames.pop(0)

    def close(self) -> None:
        self.link.close()
        close_all(self.memory)


class Bench:
    """A slot with at most one worker at a time."""

    def __init__(self) -> None:
        from transport.lanes import create_slot

        self.slot = create_slot(LANE_BYTES)
        self.page = new_control_page()
        self.peers: list[Peer] = []
        self.workers: list[Worker] = []
        self.epoch = 0

    def peer(self, number: int) -> Peer:
        """A slot to send from."""
        self.peers.append(Peer(number, self.slot))
        return self.peers[-1]

    def worker(self, *engines: EngineSpec, attach: bool = True, **boot: Any) -> Worker:
        """A process for the slot, booted, attached to all peers. A candidate gets a page of its own."""
        worker = Worker()
        self.workers.append(worker)
        candidate = boot.get("candidate", False)
        self.epoch += not candidate
        births = tuple(Birth(engine) for engine in engines)
        defaults: dict[str, Any] = {
            "node": "test",
            "slot": SLOT,
            "epoch": self.epoch,
            "native": True,
            "wait": "adaptive",
            "address": "",
            "roots": (FAMILIES,),
            "births": births,
            "now_ns": offset_now(),
        }
        page = new_control_page()
        worker.say(wire.Boot(**{**defaults, **boot}), *([page] if candidate else self.own()))
        os.close(page)
        if attach and not candidate:
            self.attach(worker)
        return worker

    def own(self) -> list[int]:
        """Descriptors of the slot, for its process."""
        return [*self.slot, self.page]

    def attach(self, worker: Worker) -> None:
        """Link the worker with all peers."""
        for peer in self.peers:
            worker.say(wire.Attach(peer.number), *peer.memory)

    def reading(self) -> Reading:
        """The control page now."""
        return read_control_page(self.page)

    def close(self) -> None:
        for worker in self.workers:
            worker.kill()
        for peer in self.peers:
            peer.close()
        close_all([*self.slot, self.page])


class Worker:
    """A forked process that runs `host.live.worker.entry.main`."""

    def __init__(self) -> None:
        ours, theirs = channel_pair()
        self.pid = os.fork()
        if self.pid == 0:
            code = 1
            try:
                ours.close()
                main(theirs.detach())
                code = 0
            except SystemExit as leave:
                code = leave.code if isinstance(leave.code, int) else 1
            finally:
                os._exit(code)
        theirs.close()
        self.channel: Channel[wire.ToSupervisor] = supervisor_end(ours)
        self.heard: list[wire.ToSupervisor] = []
        self.descriptors: list[int] = []
        self.is_over = False

    def say(self, packet: Packet, *descriptors: int) -> None:
        self.channel.send(packet, descriptors)

    def hear(self, kind: type[P], fits: Callable[[P], bool] = lambda packet: True) -> P:
        """The next packet of a kind; others are kept."""
        deadline = time.monotonic() + DEADLINE_S
        while True:
            for packet in self.heard:
                if isinstance(packet, kind) and fits(packet):
                    self.heard.remove(packet)
                    return packet
            assert time.monotonic() < deadline, f"no {kind.__name__} within {DEADLINE_S:g} s, but {self.heard}"
            select.select([self.channel], [], [], 0.5)
            received = self.channel.receive()
            if received is not None:
                self.heard.append(received[0])
                self.descriptors += received[1]

    def ask(self, kind: str, engine: str = "", number: int = 1) -> Any:
        """The payload of a query."""
        self.say(wire.Query(number, kind, engine))
        reply = self.hear(wire.Reply, lambda packet: packet.id == number)
        if self.descriptors and reply.payload is None:
            return msgspec.msgpack.decode(read_memory_file(self.descriptors[-1]))
        return reply.payload

    def letters(self, count: int) -> list[Letter]:
        """The next `count` dead letters."""
        found: list[Letter] = []
        while len(found) < count:
            found += self.hear(wire.Letters).letters
        return found

    def ended(self) -> int:
        """Wait for the end; the exit code, negative for a signal."""
        deadline = time.monotonic() + DEADLINE_S
        while not self.is_over:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.is_over = True
                self.code = os.waitstatus_to_exitcode(status)
            assert time.monotonic() < deadline, f"worker {self.pid} lives on"
            time.sleep(0.001)
        return self.code

    def kill(self) -> None:
        """End it, whatever it does, and give its descriptors back."""
        if not self.is_over:
            os.kill(self.pid, signal.SIGKILL)
            self.ended()
        self.channel.close()
        close_all(self.descriptors)
        self.descriptors.clear()


def counting(tag: str, *values: Any) -> bytes:
    """A message of the counting families."""
    return _message(COUNTER, tag, *values)


def asking(tag: str, *values: Any) -> bytes:
    """A message of the asking families."""
    return _message(ASKER, tag, *values)


def item(number: int) -> bytes:
    """A numbered item."""
    return _message(WATCHER, "Item", number)


def _message(ref: str, tag: str, *values: Any) -> bytes:
    return encode(_kind(ref, tag)(*values))


@cache
def _kind(ref: str, tag: str) -> Any:
    return next(kind for kind in load_family(ref, (FAMILIES,)).accepts_types if kind.__name__ == tag)


def state(worker: Worker, engine: str) -> Any:
    """An engine's state, after everything that lies in its lanes was handled."""
    worker.ask("stats", number=1)
    (found,) = worker.ask("state", engine, number=2)
    return found["state"]


def encode_total(count: int) -> bytes:
    total = next(kind for kind in load_family(COUNTER, (FAMILIES,)).emits_types)
    return encode(total(count))
