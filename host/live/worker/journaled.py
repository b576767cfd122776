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
from collections.abc import Callable
from typing import Any, Final

import msgspec

from engines.model import Declaration
from host.live import wire
from host.live.clock import engine_clock, offset_from
from host.live.journal.checksums import checksums
from host.live.journal.elsewhere import Elsewhere, refuse_elsewhere, refuse_logs_of_their_own
from host.live.journal.folder import DiskFolder
from host.live.journal.frames import frame_bytes
from host.live.journal.over import LOCK, mark_over, unmark
from host.live.journal.recovery import Recovered, begin, boot_id, recover
from host.live.journal.rescue import rescue
from host.live.journal.snapshots import Snapshots
from host.live.journal.tending import Tending
from host.live.journal.writer import Stopped
from host.live.packets import Channel
from host.live.worker.chance import uniform
from host.live.worker.desk import Desk, Leave
from host.live.worker.ends import Ends
from host.live.worker.handover import Inheritance, hand_out
from host.live.worker.loading import failure, loader
from host.live.worker.loop import BACKLOG_NS, Worker
from host.live.worker.own_link import OwnLink, common_case
from host.live.worker.revival import Revival
from host.live.worker.telling import Telling
from host.node.births import Births
from host.node.cell import Cell
from host.node.fallen import Position
from host.node.journal.checksum import CRC32C
from host.node.journal.digest import Digest
from host.node.journal.layout import Newer
from host.node.journal.marks import life_of
from host.node.journal.replay import LogState, log_state
from host.node.journal.scan import Damaged
from host.node.journal.state_digest import DigestWriter
from host.node.journal.stream import Diverged
from host.node.journaled.keeping import Keeping
from host.node.journaled.ledger import Ledger
from host.node.journaled.outbox import JournaledOutbox
from host.node.journaled.scheduler import JournaledScheduler
from host.node.journaled.turns import JournaledAnswers
from host.node.report import Happening, Report
from host.node.snapshot import revive
from transport.port import KIND_MESSAGES, Frame

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
        elif isinstance(packet, wire.ChildEnded):
            self._worker.keeping.child_ended(packet.parent, packet.child)
        else:
            super()._do(packet, descriptors)

    def _hand_out(self) -> bytes | None:
        return hand_out(self._worker)

    def _stand_still(self) -> None:
        try:
            super()._stand_still()
        except Leave:
            self._worker.journal.stop("handed over")
            raise


class JournaledWorker(Worker):
    """As `Worker`. Raises what `recover` and `begin` raise."""

    outbox: JournaledOutbox
    scheduler: JournaledScheduler

    def __init__(
        self,
        channel: Channel[wire.ToWorker],
        boot: wire.Boot,
        own: OwnLink,
        load: Callable[[str], Declaration[Any, Any, Any]] | None = None,
        found: Recovered | None = None,
    ) -> None:
        """`load` as for `Worker`; `found` is what a candidate read of the log."""
        load = load or loader(boot.roots, check=False)
        folder = DiskFolder(boot.journal, make=True)
        self._lock = lock(boot.journal)
        self._log_folder = folder
        if found is None:
            found = recover(folder, boot.node, load, boot_id())
            _refuse_elsewhere(boot, found)
        if not _is_over(found, boot.births):
            unmark(boot.journal)
        offset_ns = offset_from(boot.now_ns, found.clock_ns + 1)
        self.clock = engine_clock(offset_ns)
        modes = [birth.spec.durability for birth in boot.births] + [s.image.mode for s in found.streams.values()]
        self.journal = begin(folder, found, boot_id(), self.clock, durable="durable" in modes)
        digest = Digest(checksums()[self.journal.head.kind])
        self.keeping = Keeping(self.journal, digest, frame_bytes)
        self.keeping.unacked_bytes_max = boot.journal_spec.unacked_bytes
        digests = DigestWriter(self.journal.batch.changed, self._kept_cell, self.journal.record, self.clock)
        self._tending = Tending(self.journal, digests, self.clock)
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
        self._boot = boot
        self.ends = Ends(self.keeping, report, self.clock, self._mark_over)
        self.desk = JournalDesk(self, own.attach)
        self._in_c = common_case(own, self.scheduler, offset_ns, self._ledger())
        self._node = boot.node
        self.is_new = not boot.candidate
        retain = (boot.journal_spec.retain_bytes, boot.journal_spec.retain_ns)
        self._snapshots = Snapshots(folder, self.journal, self.clock, *retain, turns_behind=found.turns)
        self._is_alone = own.is_native
        self.scheduler.arrivals.expect(Position(*msgspec.structs.astuple(fallen)) for fallen in boot.fallen)
        self._found: Recovered | None = found

    def bear(self, births: tuple[wire.Birth, ...]) -> None:
        """As `Worker.bear`. Engines that the log has are there already; one that ended in it stays so."""
        known = self._revive(births)
        self.write()
        self.telling.ready((cell.name, cell.family) for cell in known)
        living = self.scheduler.cells
        self._say_ended(births)
        super().bear(tuple(birth for birth in births if birth.spec.name not in living))
        self.write()
        self._tell()

    def take_over(self, births: tuple[wire.Birth, ...], inherited: Inheritance) -> None:
        """Be the slot's process after a reload: nothing is said to be ready before its new images are in the log."""
        revive(self.scheduler, inherited.image, inherited.revived)
        known = self._revive(births)
        self.write()
        volatile = [cell for cell in self.scheduler.cells.values() if cell.name not in self.keeping.kept]
        self.telling.ready((cell.name, cell.family) for cell in [*known, *volatile])
        self._say_ended(births)
        self._tell()

    def _say_ended(self, births: tuple[wire.Birth, ...]) -> None:
        ended = self.scheduler.ended
        self.scheduler.report.stopped.extend(birth.spec.name for birth in births if birth.spec.name in ended)

    def _tell(self) -> None:
        """Tell what others may depend on, of the ends those that can be told."""
        try:
            self.ends.sift(len(self.scheduler.cells))
        except OSError as error:
            self._give_up(f"mark: {error.strerror}")
        self.telling.at_once()

    def _mark_over(self) -> None:
        """Of children only: an engine of the node file is asked for again by the next life."""
        if all(birth.parent is not None for birth in self._boot.births):
            self.write()
            mark_over(self._boot.journal, life_of(self._boot.epoch))

    def _revive(self, births: tuple[wire.Birth, ...]) -> list[Cell]:
        """The engines of the log go on, if they do not yet; those among `births`."""
        found, self._found = self._found, None
        for birth in births:
            if birth.spec.durability != "volatile":
                self.keeping.modes[birth.spec.name] = birth.spec.durability
        return Revival(self).run(found, {birth.spec.name: birth for birth in births}) if found is not None else []

    def checkpoint(self) -> str:
        """Between two cycles: the whole log in a snapshot that is on the disk; "" or why there is none."""
        self.write()
        self._snapshots.abandon()
        try:
            written = self._snapshots.take(self._state())
        except Stopped as error:
            self._give_up(str(error))
        except OSError as error:
            return str(error)
        else:
            if written.is_fatal:
                self._give_up(written.reason)
            return written.reason
        return ""

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
        self.commit()
        if frames:
            link.release()
        if scheduler.turns.has_spawned:
            outbox.bear()
            self._tell()
        outbox.release()
        link.flush()
        outbox.flushed()
        scheduler.show()
        self._tell()
        if self.desk.has_queries:
            self.telling.everything(self.clock())
            self.desk.answer_queries()
        return bool(frames) or not scheduler.is_idle

    def commit(self) -> bool:
        """Everything that happened is in the log; whether the worker has something to see to before it sleeps."""
        self.outbox.hear_released()
        self.write()
        self._take_snapshot()
        return self._snapshots.is_running or self.outbox.has_full

    def write(self) -> None:
        """What happened since the last time is in the log, and on the disk where that is promised.

        A disk that fails ends this process here: nothing was acknowledged, and nothing will be.
        """
        if self._tending.is_resting and not self.journal.batch.is_empty:
            self._tending.stir()
        try:
            self.journal.append()
            if self.journal.is_durable:
                self.journal.sync()
        except Stopped as error:
            self._give_up(str(error))
        self._follow()
        self.outbox.appended()

    def run(self) -> None:
        """As `Worker.run`; a log that is left in peace says so."""
        self.link.watch(self._tending.alarm.fd)
        super().run()
        try:
            self._tending.finish()
            self.journal.close()
        except Stopped as error:
            self.scheduler.report.happenings.append(Happening("journal_stopped", "", {"reason": str(error)}))

    def _kept_cell(self, name: str) -> Cell | None:
        kept = self.keeping.kept.get(name)
        return None if kept is None else kept.cell

    def _hear(self) -> None:
        """As `Worker._hear`, which writes what `tend` has for the log."""
        try:
            self._tending.tend()
        except Stopped as error:
            self._give_up(str(error))
        super()._hear()

    def _leave_gone(self, finding: str) -> None:
        """The log is not there any more; what this slot is goes to a new one, and somebody has to look at it."""
        reason = rescue(self._boot.journal, self.journal, self._state(), self.clock, self._lock)
        fields = {"finding": finding, "journal": self._boot.journal, "saved": not reason, "reason": reason}
        self.channel.send(wire.Event(wire.JOURNAL_GONE, "", fields))

    def _follow(self) -> None:
        """The folder of the log was moved, and the log goes on in it: so does the next process."""
        if self._log_folder.path != self._boot.journal:
            self._boot = msgspec.structs.replace(self._boot, journal=self._log_folder.path)
            self.channel.send(wire.Event(wire.JOURNAL_MOVED, "", {"journal": self._boot.journal}))

    def _give_up(self, reason: str) -> None:
        if self.journal.is_gone:
            self._leave_gone(reason)
        else:
            self.channel.send(wire.Event("journal_stopped", "", {"reason": reason, "journal": self._folder}))
        self.channel.make_room(0)
        sys.exit(1)

    @property
    def _folder(self) -> str:
        return os.readlink(f"/proc/self/fd/{self._lock}").removesuffix(f"/{LOCK}")

    def _ledger(self) -> Ledger | None:
        """For cycles in C, which write CRC32C; None where the log has another checksum."""
        if self.journal.head.kind != CRC32C:
            return None
        journal, outbox = self.journal, self.outbox
        return Ledger(self.keeping.kept, journal.frame, journal.run, self.commit, outbox.left, outbox.flushed)

    @property
    def is_calm(self) -> bool:
        """As `Worker.is_calm`. Acknowledgements that an engine waits for ring no bell."""
        return super().is_calm and not self.outbox.has_full and not self.ends.are_waiting

    @property
    def _rests(self) -> bool:
        return not self._snapshots.is_running

    def _common(self) -> list[Frame] | None:
        frames = super()._common()
        if frames is None and not self._rests:
            self.link.wait(BACKLOG_NS)
        return frames

    def _sleep_ns(self, now_ns: int) -> int | None:
        sleep_ns = super()._sleep_ns(now_ns)
        if self.outbox.has_full:
            return ACKNOWLEDGED_NS if sleep_ns is None else min(ACKNOWLEDGED_NS, sleep_ns)
        if self._snapshots.is_running:
            return BACKLOG_NS if sleep_ns is None else min(BACKLOG_NS, sleep_ns)
        if self.ends.are_waiting:
            wait_ns = self.ends.sleep_ns(now_ns)
            return wait_ns if sleep_ns is None else min(wait_ns, sleep_ns)
        return sleep_ns

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
        elif written is not None and written.archiving:
            self.scheduler.report.happenings.append(Happening("archiving_failed", "", {"reason": written.archiving}))

    def _state(self) -> LogState:
        now_ns = self.clock()
        turns = sum(kept.turns for kept in self.keeping.kept.values())
        images = self.keeping.images(now_ns)
        return log_state(self._node, self.scheduler.arrivals.count, now_ns, images, self.scheduler.ended, turns)


def _refuse_elsewhere(boot: wire.Boot, found: Recovered) -> None:
    """Raises `Elsewhere`. A child that was just spawned is nowhere: names are not used twice."""
    if not boot.fresh:
        refuse_elsewhere(boot.journal, _new_here(found, boot.births), life_of(boot.epoch))
    if boot.spawned == "parent":
        known = {**found.streams, **dict.fromkeys(found.ended)}
        children = (child for stream in found.streams.values() for child in stream.children)
        refuse_logs_of_their_own(boot.journal, [child for child in children if child not in known])


def _is_over(found: Recovered, births: tuple[wire.Birth, ...]) -> bool:
    """Whether nothing of what a log has, and is to have, lives."""
    return not (found.streams or found.leaving) and all(birth.spec.name in found.ended for birth in births)


def _new_here(found: Recovered, births: tuple[wire.Birth, ...]) -> list[str]:
    """The journaled engines among `births` that the log knows nothing of."""
    specs = [birth.spec for birth in births if birth.spec.durability != "volatile"]
    return [spec.name for spec in specs if spec.name not in found.streams and spec.name not in found.ended]


def lock(folder: str) -> int:
    """Lock a log for as long as this process lives; waits for a process that is about to end. The descriptor."""
    fd = os.open(os.path.join(folder, LOCK), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(fd, fcntl.LOCK_EX)
    return fd


def live_journaled(channel: Channel[wire.ToWorker], boot: wire.Boot, own: OwnLink) -> None:
    """The life of a worker with a journal. One whose log cannot be used says why for each engine, and waits."""
    try:
        worker = JournaledWorker(channel, boot, own)
    except (Damaged, Newer, Diverged, Elsewhere, Stopped, OSError) as error:
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
