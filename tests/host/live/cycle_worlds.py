"""A worker in this process whose cycles run in C or in Python, at a time the test sets, with mail for one engine."""

from __future__ import annotations

import mmap
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, NamedTuple

import msgspec
from family_inputs import messages
from hypothesis import assume
from hypothesis import strategies as st

from engines.benchmark import oneway, pingpong
from engines.examples import (
    broadcast,
    causal,
    dice,
    greeting,
    ping_pong,
    ticker,
    ticker_continuation,
    timestamping,
    voting,
)
from engines.model import Declaration, Family, encode, load_family
from host.config.spec import EngineSpec
from host.live import wire
from host.live.control_page import new_control_page
from host.live.journal.folder import Folder
from host.live.journal.frames import read_frame
from host.live.journal.recovery import boot_id, recover
from host.live.packets import channel_pair, close_all, supervisor_end, worker_end
from host.live.worker.loop import Worker
from host.live.worker.own_link import OwnLink, open_link
from host.live.worker.own_log import open_log
from host.live.worker.parts import Outset
from host.node.journal.records import StreamImage
from host.node.journaled.keeping import Ledger
from host.node.past import Past
from host.node.ring_past import ring_pasts
from host.node.routing import Birth
from transport.port import KIND_MESSAGES, Frame

Mode = Literal["volatile", "crash", "durable"]
FOLDER = Path(__file__).parent / "families"
MODULES = [
    *(broadcast, causal, dice, greeting, ping_pong, ticker, ticker_continuation, timestamping, voting),
    *(oneway, pingpong),
]
NODE_FOLDER = FOLDER.parent.parent / "node"
OF_NODE = ("RECORDER", "LOSSY", "KEEPER", "COUNTER", "FORWARDER", "SLEEPER", "ASKER", "PARENT", "SPLITTER")
OWN = [
    "counting:COUNTER",
    "asking:ASKER",
    "blasting:WATCHER",
    "lawless:LAWLESS",
    "lawless:CHILD",
    *(f"engines_for_tests:{name}" for name in OF_NODE),
]
"""Families for tests; `Die` would end the test itself."""
START_NS = 1_000_000_000
LANE_BYTES = 1 << 16
Names = tuple[str, ...]
RING_COUNT = 50


class Step(NamedTuple):
    """A frame that arrives, and how much later."""

    after_ns: int
    sender: str
    mailbox: int
    messages: list[Any]
    target: str = "e"


def families_of(module: ModuleType) -> list[Family[Any, Any, Any, Any]]:
    return [value for value in vars(module).values() if isinstance(value, Family) and value.plan]


def every_family() -> list[Family[Any, Any, Any, Any]]:
    loaded = [load_family(ref, (str(FOLDER), str(NODE_FOLDER))) for ref in OWN]
    found = {id(family): family for module in MODULES for family in families_of(module)}
    return [*found.values(), *(family for family in loaded if isinstance(family, Family))]


FAMILIES = every_family()


@st.composite
def scripts(draw: Callable[[Any], Any], family: Family[Any, Any, Any, Any], targets: Names = ("e",)) -> list[Step]:
    """Frames for these engines, each of one sender and mailbox, at times that let timers elapse in between."""
    steps = []
    mail = messages(family).filter(lambda pair: type(pair[1]).__name__ != "Die")
    for _ in range(draw(st.integers(1, 8))):
        mailbox, first = draw(mail)
        others = draw(st.lists(mail, max_size=6))
        same = [message for number, message in others if number == mailbox]
        sender, after_ns = draw(st.sampled_from(["p", "q"])), draw(st.sampled_from([0, 1, 5_000, 60_000_000_000]))
        steps.append(Step(after_ns, sender, mailbox, [first, *same], draw(st.sampled_from(targets))))
    return steps


class World:
    """A worker in this process, and slot 2, where `p` and `q` are. No sleep is long while `ready` is readable. `lanes`
    is the memory of those from slot 2."""

    def __init__(
        self, worker: Worker, peer: Any, supervisor: Any, set_time: Callable[[int], None], ready: int, lanes: int
    ) -> None:
        self.worker = worker
        self.ready = ready
        self.lanes = lanes
        self.peer = peer
        self.supervisor = supervisor
        self.set_time = set_time
        self.numbers: dict[tuple[str, str, int], int] = {}
        self.in_c = 0

    def use(self, ledger: Ledger | None) -> None:
        """Cycles in C from now on, with this ledger."""
        from host.live.cycle._cycle import Cycle

        scheduler = self.worker.scheduler
        self.worker._in_c = Cycle(self.worker.link, scheduler, scheduler.turns._progress.memory, None, ledger)

    def play(self, step: Step) -> list[Any]:
        """One step, until nothing is left to do; everything that can be seen of it."""
        self.send(step)
        self.settle()
        return self.seen()

    def send(self, step: Step) -> None:
        """The mail of a step, at its time."""
        self.set_time(step.after_ns)
        stream = (step.sender, step.target, step.mailbox)
        outlet = self.peer.outlet(1, *stream, 1, self.numbers.get(stream, 1))
        assert all(outlet.send(encode(message)) for message in step.messages)
        self.numbers[stream] = outlet.next_n
        self.peer.flush()

    def damage(self, text: bytes) -> None:
        """Change a text that slot 2 has sent, in its lane."""
        with mmap.mmap(self.lanes, 0) as memory:
            memory[memory.find(text)] ^= 1

    def env(self) -> bytes:
        """The engine's environment; b"" if it ended."""
        cell = self.worker.scheduler.cells.get("e")
        return b"" if cell is None else bytes(cell.family.dump(cell.env))

    def past(self) -> list[Past]:
        """The last triggers of the engine, as a rehearsal gets them."""
        scheduler = self.worker.scheduler
        ring = scheduler.turns.ring
        assert ring is not None
        return [*ring_pasts(ring, scheduler.cells, 100_000, read_frame)]

    def settle(self) -> None:
        """Cycles until nothing is left to do."""
        assert any(not self.go_on() for _ in range(1_000)), "the worker does not come to rest"

    def go_on(self) -> bool:
        """Cycles in C as far as they go, and one in Python; whether more is to do."""
        worker = self.worker
        if not worker.is_calm:
            return worker.cycle()
        before = worker.scheduler.tally.handled
        frames = worker._common()
        self.in_c += worker.scheduler.tally.handled - before
        return worker.turn(frames or []) or frames is not None

    def seen(self) -> list[Any]:
        report = self.worker.scheduler.report
        cells = {name: _cell(cell) for name, cell in self.worker.scheduler.cells.items()}
        counts, letters = report.take_letters()
        notes = report.take_notes()
        happened, report.events = [*report.events], type(report.events)()
        frames = [_sent(frame) for frame in self.peer.drain(10_000) if frame.kind == KIND_MESSAGES]
        self.peer.release()
        tally = self.worker.scheduler.tally
        return [cells, counts, letters, notes, happened, _merged(frames), tally.handled, tally.received, tally.sent]


def _cell(cell: Any) -> Any:
    marks = {key: (mark.epoch, mark.next_n) for key, mark in cell.marks.items()}
    counts = (cell.handled, cell.received, cell.sent, cell.failed, cell.ignored, cell.depth)
    held = {name: [(box, encode(message)) for box, message in queue] for name, queue in cell.held.items()}
    asked = None if cell.suspension is None else cell.suspension.question
    return cell.family.dump(cell.env), marks, counts, held, asked, cell.deadline_ns


def _sent(frame: Frame) -> tuple[tuple[Any, ...], list[bytes]]:
    return (frame.sender, frame.target, frame.mailbox, frame.epoch), frame.payloads


def _merged(frames: list[tuple[tuple[Any, ...], list[bytes]]]) -> dict[tuple[Any, ...], list[bytes]]:
    streams: dict[tuple[Any, ...], list[bytes]] = {}
    for stream, payloads in frames:
        streams.setdefault(stream, []).extend(payloads)
    return streams


@contextmanager
def world(
    family: Family[Any, Any, Any, Any],
    params: dict[str, Any],
    in_c: bool,
    journal: str = "",
    mode: Mode = "volatile",
    *,
    engines: Names = ("e",),
    ring: int = RING_COUNT,
    tick_ns: int = 0,
) -> Iterator[World]:
    """A worker with these engines of `family`; with a folder for its log, also one that has lived before. Each reading
    of the clock takes `tick_ns`."""
    from transport.lanes import LaneLink, create_slot

    own, far, page = create_slot(LANE_BYTES), create_slot(LANE_BYTES), new_control_page()
    ours, theirs = channel_pair()
    supervisor = supervisor_end(ours)
    now = [START_NS]
    boot = wire.Boot("test", 1, 1, True, "block", "", (), (), now_ns=0, journal=journal, volatile_triggers=ring)
    link = open_link(boot, [*map(os.dup, own), os.dup(page)])
    peer = LaneLink(2, *map(os.dup, far))
    channel = worker_end(theirs)
    ready = os.eventfd(1)
    worker = _worker(channel, boot, link, family, now, tick_ns)
    try:
        link.attach(2, "", [*map(os.dup, far)])
        peer.attach(1, *map(os.dup, own))
        worker.link.watch(ready)
        for name in ("p", "q"):
            worker.outbox.route(name, 2)
        specs = [EngineSpec(name, family.ref or "test:FAMILY", params, durability=mode) for name in engines]
        worker.bear(tuple(map(Birth, specs)))

        def later(by_ns: int) -> None:
            now[0] += by_ns

        if "e" in worker.scheduler.cells:
            made = World(worker, peer, supervisor, later, ready, far[0])
            if in_c:
                made.use(None if worker.log is None else worker.log.ledger())
            yield made
        else:
            assume(False)
    finally:
        if worker.log is not None:
            worker.log.journal.close()
            worker.log._tending.alarm.close()
            os.close(worker.log.lock)
        link.link.close()
        peer.close()
        supervisor.close()
        channel.close()
        close_all([*own, *far, page, ready])


def _worker(
    channel: Any, boot: wire.Boot, link: OwnLink, family: Family[Any, Any, Any, Any], now: list[int], tick_ns: int
) -> Worker:
    def load(ref: str) -> Declaration[Any, Any, Any]:
        return family

    def clock() -> int:
        now[0] += tick_ns
        return now[0]

    worker = Worker(Outset(channel, boot, link, load, open_log(boot, link, load) if boot.journal else None))
    scheduler = worker.scheduler
    parts: list[Any] = [scheduler, scheduler.turns, scheduler.arrivals, worker]
    if worker.log is not None:
        parts += [worker.log.journal, worker.log.snapshots]
    for part in parts:
        setattr(part, "clock" if hasattr(part, "clock") else "_clock", clock)
    scheduler.turns._chance = lambda sides: sides // 2
    worker._in_c = None
    return worker


def recovered(journal: str, family: Family[Any, Any, Any, Any]) -> dict[str, Any]:
    """Every engine the log makes. Raises `Diverged` where a turn does not give what was recorded of it."""

    def load(ref: str) -> Declaration[Any, Any, Any]:
        return next((one for one in FAMILIES if one.ref == ref), family)

    found = recover(Folder(journal), "test", load, boot_id())
    assert found.scan.cut is None
    return {
        name: _said(stream.kept.image("snapshot", stream.clock_ns)) for name, stream in found.replay.streams.items()
    }


def _said(image: StreamImage) -> dict[str, Any]:
    """What the image says, without the time of the birth, which is the machine's, and with frames that wait counted
    anew: C and Python may split one at another place."""
    waiting = [msgspec.structs.replace(batch, arrival=at) for at, batch in enumerate(image.cell.waiting)]
    cell = msgspec.structs.replace(image.cell, waiting=waiting)
    said: dict[str, Any] = msgspec.to_builtins(msgspec.structs.replace(image, cell=cell, clock_ns=0))
    return said
