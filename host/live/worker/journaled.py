"""What a log adds to a worker's cycle (`host.node.cycle`) and to its birth and exit.

At `commit` everything of the cycle is in one batch: it is appended, and synced where an engine is durable. Acknowledged
outputs are dropped there, and a snapshot is begun when it is due. So the outputs of a message leave only when they are
safe in the log, and a message that is not in the log comes again from the lane.

A disk that fails ends the process, with `journal_stopped` in the events.
"""

from __future__ import annotations

import fcntl
import gc
import os
import sys
from collections.abc import Callable, Container, Iterator
from typing import TYPE_CHECKING, Any, Final

import msgspec

from engines.model import Declaration
from host.live import wire
from host.live.journal.over import LOCK, mark_over
from host.live.journal.recovery import Recovered
from host.live.journal.rescue import rescue
from host.live.journal.snapshots import Snapshots
from host.live.journal.tending import Tending
from host.live.journal.versions import Versions
from host.live.journal.writer import LogStopped
from host.live.worker.own_log import OwnLog, begin_primed
from host.live.worker.parts import WorkerParts
from host.node.cell import Cell
from host.node.journal.checksum import CRC32C
from host.node.journal.marks import life_of
from host.node.journal.replay import LogState, log_state
from host.node.journal.state_digest import DigestWriter
from host.node.journaled.ends import Ends
from host.node.journaled.keeping import Ledger
from host.node.journaled.revival import Revival
from host.node.news import Event
from host.node.routing import Birth
from host.node.snapshot import take_snapshot

if TYPE_CHECKING:
    from host.node.past import Past

ACKNOWLEDGED_NS: Final = 1_000_000
"""The longest sleep while an engine waits for acknowledgements, which ring no bell."""

SNAPSHOT_NS: Final = 2_000_000
"""The longest sleep while a snapshot is being written."""


TAKEN_OVER_NS: Final = 200_000_000
"""After a reload, mail has waited; what it waits for is not the fork of a snapshot too."""


class WorkerLog:
    """The log of a worker. Mutable, one a worker."""

    def __init__(self, worker: WorkerParts, own: OwnLog, boot: wire.Boot, *, is_alone: bool) -> None:
        """`is_alone`: the process has one thread, so that a child can write a snapshot."""
        self.journal = own.journal
        self.keeping = own.keeping
        self.lock = own.lock
        self.snapshots = Snapshots(
            own.folder,
            own.journal,
            worker.clock,
            boot.journal_spec.retain_bytes,
            boot.journal_spec.retain_ns,
            turns_behind=own.found.turns,
            first_after_ns=TAKEN_OVER_NS if boot.candidate else 0,
        )
        self._ends = Ends(own.keeping, worker.scheduler.report, worker.clock, self._mark_over)
        self._digests = DigestWriter(own.journal.batch.changed, self._kept_cell, own.journal.record, worker.clock)
        self._tending = Tending(own.journal, self._digests, worker.clock)
        self._versions = Versions(own.folder.path, worker.clock)
        self._load, worker.births.load = worker.births.load, self._load_and_keep
        self._log_folder = own.folder
        self._worker = worker
        self._boot = boot
        self._is_alone = is_alone
        self._own = own
        self._find(own.found)

    def _find(self, found: Recovered) -> None:
        self._found: Recovered | None = found
        for name, stream in found.replay.streams.items():
            self._digests.know(name, stream.env_bytes)

    def prime(self) -> None:
        """Do ahead what `revive` would do: the code of the engines is kept."""
        assert self._found is not None
        for stream in self._found.replay.streams.values():
            self._keep_version(stream.family)

    def begin(self, found: Recovered) -> None:
        """Open a log that was primed, and ended as `found`. Raises as `begin_primed`."""
        self.lock = begin_primed(self._boot, self._own, found)
        self._find(found)

    def revive(self, births: tuple[Birth, ...], parked: Container[str], announce: Callable[[], None]) -> list[Cell]:
        """Revive the engines of the log, at the first call. Returns those among `births`, or all that were handed over,
        once all is in the log. An engine that ended in the log stays ended, which is reported. `announce` reports
        children."""
        found, self._found = self._found, None
        for birth in births:
            if birth.spec.durability != "volatile":
                self.keeping.modes[birth.spec.name] = birth.spec.durability
        by_name = {birth.spec.name: birth for birth in births}
        worker, scheduler = self._worker, self._worker.scheduler
        revival = Revival(scheduler, worker.births, self.keeping, announce, parked=parked, is_new=worker.is_new)
        known = revival.run(found, by_name) if found is not None else []
        for family in {kept.cell.family.ref: kept.cell.family for kept in self.keeping.kept.values()}.values():
            self._keep_version(family)
        self.write()
        awaited = dict.fromkeys([*by_name, *self.keeping.leaving])
        scheduler.report.stopped.extend(name for name in awaited if name in scheduler.ended)
        return known

    def _load_and_keep(self, ref: str) -> Declaration[Any, Any, Any]:
        """The families of engines that are born; the log has their code before it has them."""
        family = self._load(ref)
        self._keep_version(family)
        return family

    def _keep_version(self, family: Declaration[Any, Any, Any]) -> None:
        try:
            self._versions.keep([family])
        except OSError as error:
            self._report_failure("version_not_kept", f"{family.ref}: {error}")

    def sift_ends(self) -> None:
        """Keep only those ends in the report that may be sent."""
        self._ends.sift(len(self._worker.scheduler.cells))

    def _mark_over(self) -> None:
        """Mark the log of a slot of children only: the next life starts an engine of the node file again."""
        if all(birth.parent is not None for birth in self._boot.births):
            self.write()
            try:
                mark_over(self._boot.journal, life_of(self._boot.epoch))
            except OSError as error:
                self._give_up(f"mark: {error.strerror}")

    def commit(self) -> bool:
        """Write everything that happened; whether the worker has to poll for something before it sleeps."""
        acks = self.keeping.acks
        acks.hear_released()
        for cell in acks.free(self.keeping.unacked_bytes_max):
            self._worker.scheduler.wake(cell)
        self.write()
        self._see_to_snapshot()
        return self.snapshots.is_running or acks.has_full

    def write(self) -> None:
        """Write what happened since the last time to the log, and to the disk where that is promised.

        A disk that fails ends this process here: nothing was acknowledged, and nothing will be.
        """
        if self._tending.is_resting and not self.journal.batch.is_empty:
            self._tending.stir()
        try:
            self.journal.append()
            if self.journal.is_durable:
                self.journal.sync()
        except LogStopped as error:
            self._give_up(str(error))
        self._follow()
        self.keeping.acks.appended()

    def ledger(self) -> Ledger | None:
        """The ledger for cycles in C, which write CRC32C; None if the log has another checksum."""
        if self.journal.head.kind != CRC32C:
            return None
        journal, keeping = self.journal, self.keeping
        return Ledger(journal.frame, journal.run, self.commit, keeping.acks.left, keeping.flushed)

    @property
    def is_calm(self) -> bool:
        """Whether only mail in lanes can need attention. Acknowledgements that an engine waits for ring no bell."""
        return not (self._worker.scheduler.ready or self.keeping.acks.has_full or self._ends.are_waiting)

    @property
    def rests(self) -> bool:
        """Whether the log lets the worker sleep until mail comes."""
        return not self.snapshots.is_running

    def sleep_ns_max(self, now_ns: int) -> int | None:
        """How long the worker may sleep; None: without limit."""
        if self.keeping.acks.has_full:
            return ACKNOWLEDGED_NS
        if self.snapshots.is_running:
            return SNAPSHOT_NS
        if self._ends.are_waiting:
            return self._ends.sleep_ns(now_ns)
        return None

    def watch(self) -> None:
        """Let the alarm for tending the log wake the worker."""
        self._worker.link.watch(self._tending.alarm.fd)

    def _kept_cell(self, name: str) -> Cell | None:
        kept = self.keeping.kept.get(name)
        return None if kept is None else kept.cell

    def tend(self) -> None:
        """Write digests of states, due beside the turns, and check that the log's files are still there."""
        self._versions.begin_segment(self.journal.head.number)
        try:
            self._tending.tend()
        except LogStopped as error:
            self._give_up(str(error))

    def _follow(self) -> None:
        """The folder of the log was moved, and the log continues in it: the next process must find it there."""
        if self._log_folder.path != self._boot.journal:
            self._boot = msgspec.structs.replace(self._boot, journal=self._log_folder.path)
            self._worker.channel.send(Event(wire.JOURNAL_MOVED, "", {"journal": self._boot.journal}))

    def close(self) -> None:
        """Record in the log that the worker exits normally."""
        try:
            self._tending.finish()
            self.journal.close()
        except LogStopped as error:
            self._report_failure("journal_stopped", str(error))

    def pasts(self, order: wire.Recall) -> Iterator[Past]:
        """The last triggers of journaled engines. For a child."""
        from host.live.journal.recall import log_pasts

        kept, boot = self.keeping.kept, self._boot
        turns = {name: kept[name].turns for name in order.engines if name in kept}
        return log_pasts(boot.journal, boot.node, self._worker.births.load, turns, order.count)

    def pass_on(self) -> list[bytes]:
        """Parts of a snapshot: the slot, whose engines are all in the log. The log is complete then and not locked, and
        nothing is written before `take_back`."""
        self.write()
        self.snapshots.kill()
        self.sift_ends()
        self._worker.telling.at_once()  # as in `hand_out`
        parts = list(take_snapshot(self._worker.scheduler, lambda cell: cell.recorder is None))
        fcntl.flock(self.lock, fcntl.LOCK_UN)  # a child has the descriptor too
        return parts

    def take_back(self) -> None:
        """Go on with a log that was passed on, and not taken."""
        fcntl.flock(self.lock, fcntl.LOCK_EX)
        self.snapshots.abandon()

    def hand_out(self, downgrades: bool, followed: Container[str], *, is_followed: bool) -> Iterator[bytes] | None:
        """The volatile engines as parts of a snapshot, once a snapshot of the log is in force (see `handover`), or the
        log is written for one that follows. The reader has the environments of `followed`.

        None if the log could not be saved; `EngineFailed` was sent then.
        """
        if is_followed:
            self.write()
            self.snapshots.abandon()
        elif reason := self._checkpoint(downgrades):
            self._worker.channel.send(wire.EngineFailed("", "journal", f"no snapshot: {reason}"))
            return None
        self.sift_ends()
        self._worker.telling.at_once()  # ends that the snapshot does not wait with: nobody else would report them
        scheduler = self._worker.scheduler
        return take_snapshot(scheduler, lambda cell: cell.recorder is None, downgrades=downgrades, followed=followed)

    def hand_over(self) -> None:
        """Write nothing more, and leave the log to the next process."""
        self.journal.stop("handed over")
        os.close(self.lock)
        self.lock = -1

    def _leave_gone(self, finding: str) -> None:
        """The log was removed: save the slot's state in a new one, and report that, since an operator has to act."""
        self.snapshots.abandon()
        reason = rescue(self._boot.journal, self.journal, self._state(), self._worker.clock, self.lock)
        fields = {"finding": finding, "journal": self._boot.journal, "saved": not reason, "reason": reason}
        self._worker.channel.send(Event(wire.JOURNAL_GONE, "", fields))

    def _give_up(self, reason: str) -> None:
        channel = self._worker.channel
        if self.journal.is_gone:
            self._leave_gone(reason)
        else:
            folder = os.readlink(f"/proc/self/fd/{self.lock}").removesuffix(f"/{LOCK}")
            channel.send(Event("journal_stopped", "", {"reason": reason, "journal": folder}))
        channel.make_room(0)
        sys.exit(1)

    def _checkpoint(self, downgrades: bool) -> str:
        """Between two cycles: write the whole log as a snapshot to the disk; "" or why that failed."""
        self.write()
        self.snapshots.abandon()
        gc.disable()  # it would visit all images again and again; they are dropped at once
        try:
            written = self.snapshots.take(self._state(downgrades))
        except LogStopped as error:
            self._give_up(str(error))
        except OSError as error:
            return str(error)
        else:
            if written.is_fatal:
                self._give_up(written.reason)
            return written.reason
        finally:
            gc.enable()
        return ""

    def _see_to_snapshot(self) -> None:
        """Begin a snapshot when it is due, and take the result of one that has ended. Called right after `write`."""
        snapshots = self.snapshots
        if snapshots.is_running:
            written = snapshots.poll()
        elif snapshots.is_due:
            try:
                if self._is_alone:
                    snapshots.start(self._state, self.lock)
                    return
                written = snapshots.take(self._state())
            except LogStopped as error:
                self._give_up(str(error))
                return
            except OSError as error:
                self._report_failure("snapshot_failed", str(error))
                return
        else:
            return
        if written is not None and written.is_fatal:
            self._give_up(written.reason)
        elif written is not None and written.reason:
            self._report_failure("snapshot_failed", written.reason)
        elif written is not None and written.archiving:
            self._report_failure("archiving_failed", written.archiving)
        elif written is not None:
            self._collect_versions(written.oldest_ns)

    def _collect_versions(self, oldest_ns: int) -> None:
        try:
            self._versions.collect(oldest_ns)
        except OSError as error:
            self._report_failure("archiving_failed", str(error))

    def _report_failure(self, kind: str, reason: str) -> None:
        self._worker.scheduler.report.events.append(Event(kind, "", {"reason": reason}))

    def _state(self, downgrades: bool = False) -> LogState:
        scheduler, now_ns = self._worker.scheduler, self._worker.clock()
        turns = sum(kept.turns for kept in self.keeping.kept.values())
        images = self.keeping.images(now_ns, downgrades=downgrades)
        return log_state(self._boot.node, scheduler.arrivals.count, now_ns, images, scheduler.ended, turns)
