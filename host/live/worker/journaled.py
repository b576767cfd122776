"""A worker whose slot keeps a journal: what it reads before it begins, and what it writes in each cycle.

A cycle: drain; deliver and run, all into one batch; append; sync where an engine is durable; only then heads move, the
supervisor hears of children, outputs leave. So what a message caused leaves when its log is safe, and what the log
does not have comes again from the lane. The next life, at any point of this:

    before the append   the lanes bring the mail again; neighbours' mail comes again from their unacknowledged outputs
    before heads moved  the lanes bring again what is in the log; marks drop it
    before outputs left recovery computes them again and sends them before anything new

A log that is damaged, of a later format, or that its families cannot replay, fails the start of each engine with the
place; nothing is written. A disk that fails ends the process, with `journal_stopped` in the events.

One writer: the folder is locked for the life of the process, since a supervisor that is killed frees the data folder
before its workers are gone.
"""

from __future__ import annotations

import fcntl
import os
import sys
from collections import deque
from typing import Any, Final

import msgspec

from host.config.spec import EngineSpec
from host.live import wire
from host.live.clock import engine_clock
from host.live.journal.checksums import checksums
from host.live.journal.folder import DiskFolder
from host.live.journal.frames import frame_bytes
from host.live.journal.recovery import Recovered, begin, boot_id, recover
from host.live.journal.snapshots import Snapshots
from host.live.journal.writer import Stopped
from host.live.packets import Channel
from host.live.worker.chance import uniform
from host.live.worker.desk import Desk
from host.live.worker.loading import failure, loader
from host.live.worker.loop import BACKLOG_NS, Worker
from host.live.worker.own_link import OwnLink
from host.live.worker.telling import Telling
from host.node.births import Births, plain
from host.node.cell import Cell
from host.node.fallen import Position
from host.node.journal.digest import Digest
from host.node.journal.layout import Newer
from host.node.journal.records import Child as SpawnedChild
from host.node.journal.records import Ended
from host.node.journal.replay import LogState, log_state
from host.node.journal.scan import Damaged
from host.node.journal.stream import Diverged, Stream
from host.node.journaled.keeping import Keeping, Kept, Numbered
from host.node.journaled.outbox import JournaledOutbox
from host.node.journaled.scheduler import JournaledScheduler
from host.node.journaled.turns import JournaledAnswers
from host.node.mailbox import Batch
from host.node.report import Child, Happening, Report, Standing
from host.node.set_aside import park
from host.node.snapshot import fill
from transport.port import KIND_MESSAGES, Frame

LOCK: Final = "lock"
ACKNOWLEDGED_NS: Final = 1_000_000
"""Sleep at most that long while an engine waits for acknowledgements, which ring no bell."""


class JournalDesk(Desk):
    """As `Desk`. A user's choice is in the log before its answer is acknowledged."""

    _worker: JournaledWorker

    def _do(self, packet: wire.ToWorker, descriptors: list[int]) -> None:
        if isinstance(packet, wire.Answer):
            error = self._worker.scheduler.answer(packet.engine, packet.choice)
            self._worker.write()
            self._worker.channel.send(wire.Reply(packet.id, None, error))
        else:
            super()._do(packet, descriptors)


class JournaledWorker(Worker):
    """As `Worker`. Raises what `recover` and `begin` raise."""

    outbox: JournaledOutbox
    scheduler: JournaledScheduler

    def __init__(self, channel: Channel[wire.ToWorker], boot: wire.Boot, own: OwnLink) -> None:
        load = loader(boot.roots, check=False)
        folder = DiskFolder(boot.journal, make=True)
        self._lock = lock(boot.journal)
        found = recover(folder, boot.node, load, boot_id())
        self.clock = engine_clock(boot.now_ns, found.clock_ns + 1)
        modes = [birth.spec.durability for birth in boot.births] + [s.image.mode for s in found.streams.values()]
        self.journal = begin(folder, found, boot_id(), self.clock, durable="durable" in modes)
        digest = Digest(checksums()[self.journal.head.kind])
        self.keeping = Keeping(self.journal, digest, frame_bytes)
        self.link = own.link
        self.channel = channel
        self.births = Births(boot.node, load, are_here=boot.spawned == "parent")
        self.births.durability_of = lambda cell: kept.mode if (kept := self.keeping.of(cell.name)) else "volatile"
        report = Report()
        self.outbox = JournaledOutbox(boot.slot, boot.epoch, self.births, own.link)
        self.outbox.keep(self.keeping, own.link)
        answers = JournaledAnswers(self.keeping)
        self.scheduler = JournaledScheduler(self.clock, uniform, answers, own.page, report, self.outbox, self.keeping)
        self.telling = Telling(channel, report, boot.described)
        self.desk = JournalDesk(self, own.attach)
        self._in_c = None
        self._node = boot.node
        self._snapshots = Snapshots(folder, self.journal, self.clock, turns_behind=found.turns)
        self._is_alone = own.is_native
        self.scheduler.arrivals.expect(Position(*msgspec.structs.astuple(fallen)) for fallen in boot.fallen)
        self._found: Recovered | None = found

    def bear(self, births: tuple[wire.Birth, ...]) -> None:
        """As `Worker.bear`. Engines that the log has are there already; one that ended in it stays so."""
        found, self._found = self._found, None
        for birth in births:
            if birth.spec.durability != "volatile":
                self.keeping.modes[birth.spec.name] = birth.spec.durability
        if found is not None:
            self._revive(found, {birth.spec.name: birth for birth in births})
        living = self.scheduler.cells
        for birth in births:
            if birth.spec.name in self.scheduler.ended:
                self.scheduler.report.stopped.append(birth.spec.name)
        super().bear(tuple(birth for birth in births if birth.spec.name not in living))
        self.write()
        self.telling.at_once()

    def turn(self, frames: list[Frame]) -> bool:
        """As `Worker.turn`, with the log."""
        link, scheduler, outbox = self.link, self.scheduler, self.outbox
        for peer, kind, sender, target, mailbox, epoch, first_n, payloads in frames:
            if kind == KIND_MESSAGES:
                scheduler.deliver(peer, sender, target, mailbox, epoch, first_n, payloads)
                if self.journal.is_full:
                    self.write()
            else:
                self._hear_signal(peer, kind, target)
        scheduler.run()
        scheduler.park()
        outbox.hear_released()
        self.write()
        if frames:
            link.release()
        self._take_snapshot()
        if scheduler.turns.has_spawned:
            outbox.bear()
            self.telling.at_once()
        outbox.release()
        link.flush()
        outbox.flushed()
        scheduler.show()
        self.telling.at_once()
        if self.desk.has_queries:
            self.telling.everything(self.clock())
            self.desk.answer_queries()
        return bool(frames) or not scheduler.is_idle

    def write(self) -> None:
        """What happened since the last time is in the log, and on the disk where that is promised.

        A disk that fails ends this process here: nothing was acknowledged, and nothing will be.
        """
        try:
            self.journal.append()
            if self.journal.is_durable:
                self.journal.sync()
        except Stopped as error:
            self._give_up(str(error))
        self.outbox.appended()

    def run(self) -> None:
        """As `Worker.run`; a log that is left in peace says so."""
        super().run()
        try:
            self.journal.close()
        except Stopped as error:
            self.scheduler.report.happenings.append(Happening("journal_stopped", "", {"reason": str(error)}))

    def _give_up(self, reason: str) -> None:
        self.channel.send(wire.Event("journal_stopped", "", {"reason": reason, "journal": self._folder}))
        self.channel.make_room(0)
        sys.exit(1)

    @property
    def _folder(self) -> str:
        return os.readlink(f"/proc/self/fd/{self._lock}").removesuffix(f"/{LOCK}")

    def _sleep_ns(self, now_ns: int) -> int | None:
        sleep_ns = super()._sleep_ns(now_ns)
        if self.outbox.has_full:
            return ACKNOWLEDGED_NS if sleep_ns is None else min(ACKNOWLEDGED_NS, sleep_ns)
        if self._snapshots.is_running:
            return BACKLOG_NS if sleep_ns is None else min(BACKLOG_NS, sleep_ns)
        return sleep_ns

    # --- recovery -----------------------------------------------------------------------------------------------------

    def _revive(self, found: Recovered, births: dict[str, wire.Birth]) -> None:
        """The engines of the log go on; the supervisor hears of those it did not know, and what it took."""
        scheduler = self.scheduler
        scheduler.ended.update(dict.fromkeys(name for name in found.ended if name not in self._reborn(found, births)))
        known: list[Cell] = []
        others: list[Cell] = []
        for name, stream in found.streams.items():
            birth = births.get(name)
            if birth is not None and birth.spec.durability == "volatile":
                self.journal.record(name, Ended("volatile from now on"))
                continue
            cell = self._go_on(stream, birth)
            if birth is None:
                others.append(cell)
            else:
                known.append(cell)
            fields: dict[str, Any] = {"turns": stream.turns, "replayed": found.turns, "took_ns": found.took_ns}
            fields["mode"] = stream.image.mode
            scheduler.report.happenings.append(Happening("recovered", name, fields))
        for stream in found.leaving.values():
            self._go_on(stream, None)
        self._tell_found(found)
        for cell in others:
            scheduler.report.spawned.append(_as_child(cell, self.keeping.kept[cell.name]))
        for kept in tuple(self.keeping.kept.values()):
            for child in kept.children.values():
                self._spawn_again(kept.cell, child)
        self.telling.at_once()  # children before the engines whose readiness makes the node ready
        self.telling.ready((cell.name, cell.family) for cell in known)

    def _reborn(self, found: Recovered, births: dict[str, wire.Birth]) -> set[str]:
        """Names with a tombstone that are to live: an engine of the file that was volatile in between."""
        return {name for name in births if births[name].spec.durability == "volatile" and name in found.ended}

    def _go_on(self, stream: Stream, birth: wire.Birth | None) -> Cell:
        """A stream becomes a cell. What it had sent and nobody acknowledged leaves before it gets a trigger."""
        image = stream.as_image()
        cell = Cell(self.births.load(image.cell.family), stream.configuration, stream.env, image.cell.mailboxes)
        waiting = image.cell.waiting
        fill(cell, msgspec.structs.replace(image.cell, waiting=[], poison=birth.spec.child.poison if birth else "skip"))
        place = self.keeping.leaving if stream.is_ended else self.keeping.kept
        kept = place[cell.name] = Kept(cell, image.mode, stream.epoch, stream.turns, stream.numbers)
        kept.children = dict(stream.children)
        for (target, mailbox), outputs in stream.unacked.items():
            for n, payload in outputs:
                kept.keep((target, mailbox), n, payload)
                held = Numbered(n, msgspec.Raw(payload), len(payload))
                cell.held.setdefault(target, deque()).append((mailbox, held))
        if birth is not None and birth.parked:
            park(cell)
        mode = self.keeping.modes.get(cell.name, kept.mode)
        is_other = stream.codes - {stream.family.version} or mode != kept.mode
        kept.mode = mode
        self.scheduler.take_in(cell)
        for one in waiting:
            batch = Batch(0, one.sender, one.epoch, one.first_n, list(one.payloads), True)
            self.scheduler.tally.received += len(one.payloads)
            self.scheduler.arrivals.wait_in(cell, cell.inboxes[one.mailbox], batch, None)
        if is_other and not stream.is_ended:
            self.journal.record(cell.name, self.keeping.image(kept, "version", self.clock()))
        if cell.suspension is not None:
            self._tell_standing(cell)
        return cell

    def _tell_standing(self, cell: Cell) -> None:
        suspension = cell.suspension
        assert suspension is not None
        shown = self.clock() if suspension.question.timeout_ns is not None else None
        deadline_ns = suspension.deadline_ns if shown is not None else None
        standing = Standing(cell.name, tuple(suspension.question.options), deadline_ns, suspension.cause)
        self.scheduler.report.standing.append(standing)

    def _tell_found(self, found: Recovered) -> None:
        happenings = self.scheduler.report.happenings
        if found.cut is not None:
            cut = {"segment": found.cut.segment, "offset": found.cut.offset, "finding": found.cut.finding}
            happenings.append(Happening("journal_cut", "", cut))
        for refused in found.refused:
            happenings.append(Happening("snapshot_refused", "", {"finding": refused}))
        for note in found.notes:
            happenings.append(Happening("journal_note", "", {"note": note}))

    def _spawn_again(self, parent: Cell, child: SpawnedChild) -> None:
        """A child whose birth the log does not have. Repeated by name, this does nothing."""
        scheduler = self.scheduler
        if child.name in scheduler.cells or child.name in scheduler.ended:
            return
        params, state = msgspec.msgpack.decode(child.params), child.state
        spec = EngineSpec(
            name=child.name,
            family=child.family,
            params=params or {},
            state=None if state is None else msgspec.msgpack.decode(state),
            acquaintances=(parent.name,),
            durability=self.keeping.kept[parent.name].mode,
        )
        is_here = self.births.are_here
        if is_here:
            try:
                self.births.bear(scheduler, spec, parent.name, 1)
            except Exception as error:
                fields = {"child": child.name, "family": child.family, "error": f"{type(error).__name__}: {error}"}
                scheduler.report.happenings.append(Happening("spawn_failed", parent.name, fields))
        scheduler.report.spawned.append(Child(spec, parent.name, is_here, scheduler.cells.get(child.name)))

    # --- snapshots ----------------------------------------------------------------------------------------------------

    def _take_snapshot(self) -> None:
        """Begin one when it is due, and see to one that has ended. Called right behind `write`."""
        snapshots = self._snapshots
        if snapshots.is_running:
            written = snapshots.poll()
        elif snapshots.is_due:
            try:
                if self._is_alone:
                    snapshots.start(self._state)
                    return
                written = snapshots.take(self._state())
            except Stopped as error:
                self._give_up(str(error))
                return
            except OSError as error:
                self.scheduler.report.happenings.append(Happening("snapshot_failed", "", {"reason": str(error)}))
                return
        else:
            return
        if written is not None and written.is_fatal:
            self._give_up(written.reason)
        elif written is not None and written.reason:
            self.scheduler.report.happenings.append(Happening("snapshot_failed", "", {"reason": written.reason}))

    def _state(self) -> LogState:
        now_ns = self.clock()
        turns = sum(kept.turns for kept in self.keeping.kept.values())
        images = self.keeping.images(now_ns)
        return log_state(self._node, self.scheduler.arrivals.count, now_ns, images, self.scheduler.ended, turns)


def _as_child(cell: Cell, kept: Kept) -> Child:
    """An engine of the log that the node file does not name: spawned in an earlier life, or taken out of the file."""
    spec = EngineSpec(
        name=cell.name,
        family=cell.family.ref,
        params=plain(cell.configuration.params) or {},
        durability=kept.mode,
    )
    return Child(spec, cell.configuration.parent or "", True, cell)


def lock(folder: str) -> int:
    """Lock a log for as long as this process lives; waits for a process that is about to end. The descriptor."""
    fd = os.open(os.path.join(folder, LOCK), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(fd, fcntl.LOCK_EX)
    return fd


def live_journaled(channel: Channel[wire.ToWorker], boot: wire.Boot, own: OwnLink) -> None:
    """The life of a worker with a journal. One whose log cannot be used says why for each engine, and waits."""
    try:
        worker = JournaledWorker(channel, boot, own)
    except (Damaged, Newer, Diverged, Stopped, OSError) as error:
        _refuse(channel, boot, f"{boot.journal}: {error}")
    except Exception as error:
        _refuse(channel, boot, failure("", error).detail)
    else:
        worker.bear(boot.births)
        worker.run()


def _refuse(channel: Channel[wire.ToWorker], boot: wire.Boot, detail: str) -> None:
    """Say so, and stay until the supervisor is gone or says go: a new start would find the same."""
    from host.live.worker.loop import next_packet

    for birth in boot.births:
        channel.send(wire.Failed(birth.spec.name, "journal", detail))
    while not isinstance(next_packet(channel)[0], wire.Exit):
        continue
