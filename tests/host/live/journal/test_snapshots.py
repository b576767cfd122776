"""Snapshots bound a recovery, never say more than the log, and history stays as long as it is asked for."""

from __future__ import annotations

import errno
import fcntl
import os
import resource
import select
import time
from pathlib import Path
from random import Random
from typing import ClassVar

import msgspec
import pytest
from journal_engines import Pay
from journal_worker import BOOT, START_NS, Worker, load, log_state_of, marks_of
from simulated_disk import LOSSES, SimulatedFolder

from engines.model import Ref
from host.live.journal.checksums import checksums
from host.live.journal.folder import MAPPED_BYTES, File, Folder
from host.live.journal.log_files import numbers_of, scan_from, segments_of
from host.live.journal.over import LOCK
from host.live.journal.recall import log_pasts
from host.live.journal.recovery import recover
from host.live.journal.replays import snapshots_of
from host.live.journal.snapshots import SnapshotResult, Snapshots
from host.live.worker.own_log import lock
from host.node.journal import retention
from host.node.journal.layout import decode_segment, encode_segment
from host.node.journal.replay import LogState
from host.node.journal.scan import Damaged
from host.node.past import PastLost, PastTurn

PAID: Ref[object] = Ref("shop")


class WatchedFolder(Folder):
    """Notes what this process reads."""

    read_names: ClassVar[list[str]] = []

    def read(self, name: str, /, mapped_bytes: int = MAPPED_BYTES) -> memoryview:
        self.read_names.append(name)
        return super().read(name, mapped_bytes)


def bank_in(folder: Folder, retain_bytes: int = retention.RETAIN_BYTES) -> tuple[Worker, Snapshots]:
    """A worker with a bank, and the snapshots of its log."""
    worker = Worker(folder)
    worker.bear("bank")
    return worker, Snapshots(folder, worker.journal, worker.clock, retain_bytes=retain_bytes)


def pay(worker: Worker, count: int) -> None:
    for _ in range(count):
        worker.mail("alice", "bank", [Pay(1, PAID), Pay(2, PAID)])
        worker.commit()


def state_of(folder: Folder) -> LogState:
    """What the log holds now, by replay: what a worker would say of itself."""
    return log_state_of(recover(folder, "node", load, BOOT).replay)


def ended(snapshots: Snapshots, reading: int) -> SnapshotResult:
    """The result of a snapshot that was started."""
    assert select.select([reading], [], [], 20)[0], "no snapshot within 20 s"
    while (written := snapshots.poll()) is None:
        continue
    return written


def test_a_recovery_begins_at_the_snapshot(tmp_path: Path) -> None:
    """False if turns before the snapshot were run again, or state, marks or numbers differed from a replay of all."""
    folder = Folder(str(tmp_path / "slot"), make=True)
    worker = Worker(folder)
    worker.bear("bank")
    pay(worker, 10)
    snapshots = Snapshots(folder, worker.journal, worker.clock)
    before = state_of(folder)
    reading = snapshots.start(lambda: before)
    pay(worker, 3)
    written = ended(snapshots, reading)
    assert written == SnapshotResult(written.position, oldest_ns=START_NS)
    found = recover(folder, "node", load, BOOT)
    assert found.turns == 6
    assert found.replay.streams["bank"].env == worker.engines["bank"].cell.env
    assert found.replay.streams["bank"].turns == 26
    assert marks_of(found.replay.streams["bank"]) == {("alice", 0): (1, 27)}
    assert len(found.replay.streams["bank"].kept.unacked["shop", 0]) == 26
    assert worker.journal.synced >= written.position


def test_two_are_kept_and_a_bad_one_is_passed_over(tmp_path: Path) -> None:
    """False if a damaged snapshot stopped a recovery that an older one makes possible, or passed in silence."""
    folder = Folder(str(tmp_path / "slot"), make=True)
    worker, snapshots = bank_in(folder)
    for _ in range(4):
        pay(worker, 2)
        assert snapshots.take(state_of(folder)).reason == ""
    kept = numbers_of(folder, ".snap")
    assert len(kept) >= 2
    assert numbers_of(folder, ".arc")
    newest = tmp_path / "slot" / f"{kept[-1]:020}.snap"
    content = bytearray(newest.read_bytes())
    content[-3] ^= 1
    newest.write_bytes(content)
    found = recover(folder, "node", load, BOOT)
    assert found.refused == (f"{newest.name}: the snapshot does not agree with its checksum",)
    assert found.replay.streams["bank"].env == worker.engines["bank"].cell.env
    for path in (tmp_path / "slot").glob("*.snap"):
        os.truncate(path, 40)
    again = recover(folder, "node", load, BOOT)
    assert again.replay.streams["bank"].env == worker.engines["bank"].cell.env
    assert len(again.refused) == len(kept)


def test_history_is_removed_beyond_its_bound(tmp_path: Path) -> None:
    """False if the data folder grew for ever."""
    folder = Folder(str(tmp_path / "slot"), make=True)
    worker, snapshots = bank_in(folder, retain_bytes=3000)
    for _ in range(8):
        pay(worker, 5)
        assert snapshots.take(state_of(folder)).reason == ""
    assert sum(path.stat().st_size for path in (tmp_path / "slot").glob("*.arc")) <= 3000
    assert recover(folder, "node", load, BOOT).replay.streams["bank"].env == worker.engines["bank"].cell.env


@pytest.mark.parametrize("mode", ["crash", "durable"])
def test_power_is_lost_around_a_snapshot(mode: str) -> None:
    """False if a snapshot in force were not the state of a prefix, or needed a log that is gone."""
    folder = SimulatedFolder()
    random = Random(5)
    worker = Worker(folder, mode)
    worker.bear("bank")
    snapshots = Snapshots(folder, worker.journal, worker.clock, retain_bytes=2000)
    seen = 0

    def lose_power(disk: SimulatedFolder) -> None:
        nonlocal seen
        for loss in LOSSES:
            after = disk.after_power_loss(loss, random)
            found = recover(after, "node", load, b"another boot....")
            turns = [stream.turns for stream in found.replay.streams.values()]
            assert turns in ([], [worker.engines["bank"].turns]) or turns[0] % 2 == 0
            assert not found.refused
            if turns and mode == "durable":
                assert turns[0] >= worker.engines["bank"].turns - 2
            Worker(after, mode, boot=b"another boot....")
            seen += 1

    folder.watch = lose_power
    for _ in range(6):
        pay(worker, 3)
        assert snapshots.take(state_of(folder)).reason == ""
    print(f"{seen} states")
    assert seen > 200


@pytest.mark.parametrize("fault", ["ENOSPC", "EIO", "short"])
def test_a_snapshot_that_fails_leaves_the_log_as_it_was(fault: str) -> None:
    """False if a failing disk put a snapshot in force that cannot be read, or lost a turn."""
    calls = 0
    while True:
        calls += 1
        folder = SimulatedFolder()
        worker = Worker(folder)
        worker.bear("bank")
        pay(worker, 3)
        snapshots = Snapshots(folder, worker.journal, worker.clock)
        state = state_of(folder)
        worker.journal.begin_segment()
        base = folder.calls
        folder.faults = {base + 3 + calls: fault}  # type: ignore[dict-item]
        written = snapshots.take(state)
        if written.reason == "" and base + 3 + calls > folder.calls:
            break
        folder.faults = {}
        assert not [name for name in folder.names() if name.endswith(".snap.new")]
        assert recover(folder, "node", load, BOOT).replay.streams["bank"].turns == 6
        assert worker.journal.stopped == "" or written.is_fatal
    assert calls > 4


def test_one_is_due_after_so_many_turns_also_those_of_a_dead_writer(tmp_path: Path) -> None:
    """False if a log of a writer that dies again and again grew without a snapshot."""
    folder = Folder(str(tmp_path / "slot"), make=True)
    worker = Worker(folder)
    worker.bear("bank")
    pay(worker, 10)
    assert not Snapshots(folder, worker.journal, worker.clock).is_due
    assert not Snapshots(folder, worker.journal, worker.clock, turns_behind=9_979).is_due
    assert Snapshots(folder, worker.journal, worker.clock, turns_behind=10_000).is_due


def test_the_first_one_can_wait(tmp_path: Path) -> None:
    """False if a process that takes over in a reload forked while mail waited for it, or had no snapshot after that."""
    folder = Folder(str(tmp_path / "slot"), make=True)
    worker = Worker(folder)
    now = [worker.clock()]
    snapshots = Snapshots(folder, worker.journal, lambda: now[0], turns_behind=10_000, first_after_ns=100)
    assert not snapshots.is_due
    now[0] += 100
    assert snapshots.is_due


def test_a_child_that_fails_says_why_and_nothing_is_lost(tmp_path: Path) -> None:
    """False if a snapshot that could not be made went unnoticed, or blocked the next one."""
    folder = Folder(str(tmp_path / "slot"), make=True)
    worker = Worker(folder)
    worker.bear("bank")
    pay(worker, 2)
    snapshots = Snapshots(folder, worker.journal, worker.clock)

    def broken() -> LogState:
        raise ValueError("no state today")

    for make, reason in (
        (broken, "ValueError: no state today"),
        (lambda: os._exit(3), "the process that wrote it died"),
    ):
        written = ended(snapshots, snapshots.start(make))  # type: ignore[arg-type]
        assert (written.reason, written.is_fatal) == (reason, False)
    pay(worker, 1)
    assert recover(folder, "node", load, BOOT).replay.streams["bank"].turns == 6
    assert snapshots.take(state_of(folder)).reason == ""


def test_a_fork_that_fails_costs_no_descriptors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """False if a machine without room for processes took a writer's descriptors too, two for each try."""
    folder = Folder(str(tmp_path / "slot"), make=True)
    worker, snapshots = bank_in(folder)
    before = len(os.listdir("/proc/self/fd"))

    def no_fork() -> int:
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    monkeypatch.setattr(os, "fork", no_fork)
    for _ in range(5):
        pay(worker, 1)
        with pytest.raises(BlockingIOError):
            snapshots.start(lambda: state_of(folder))
    assert not snapshots.is_running
    assert len(os.listdir("/proc/self/fd")) == before
    assert recover(folder, "node", load, BOOT).replay.streams["bank"].turns > 5


def test_a_long_history_takes_no_descriptors(tmp_path: Path) -> None:
    """False if a log of many small segments could not be archived, or read, by a process of few descriptors."""
    folder = Folder(str(tmp_path / "slot"), make=True)
    worker, snapshots = bank_in(folder)
    before, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")) + 10, hard))
    try:
        for _ in range(40):
            pay(worker, 1)
            assert snapshots.take(state_of(folder)).reason == ""
        assert len(list((tmp_path / "slot").glob("*.arc"))) >= 30
        assert len(segments_of(folder, history=True)) >= 40
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (before, hard))


def test_a_rehearsal_reads_no_history_that_it_does_not_need(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """False if a reload took longer the longer its node had run; or if the turns were other than the last ones."""
    read = WatchedFolder.read_names
    monkeypatch.setattr("host.live.journal.recall.Folder", WatchedFolder)
    folder = Folder(str(tmp_path / "slot"), make=True)
    worker, snapshots = bank_in(folder)
    counts = []
    for turns in (40, 80, 120):
        for _ in range(4):
            pay(worker, 5)
            assert snapshots.take(state_of(folder)).reason == ""
        read.clear()
        past = [*log_pasts(folder.path, "node", load, {"bank": turns}, 8)]
        assert [turn.n for turn in past if isinstance(turn, PastTurn)] == [*range(turns - 7, turns + 1)]
        counts.append(len(read))
    assert len(numbers_of(folder, ".arc")) >= 10
    assert counts == counts[:1] * 3, f"files read after 4, 8 and 12 snapshots: {counts}"


def test_a_worker_does_not_look_at_its_history(tmp_path: Path) -> None:
    """False if messages waited after a snapshot until the worker itself had read what can be archived."""
    folder = WatchedFolder(str(tmp_path / "slot"), make=True)
    worker, snapshots = bank_in(folder)
    for _ in range(4):
        pay(worker, 2)
        worker.journal.begin_segment()
        state = state_of(folder)
        WatchedFolder.read_names.clear()
        written = ended(snapshots, snapshots.start(lambda state=state: state))  # type: ignore[misc]
        assert (written.reason, written.archiving) == ("", "")
        assert WatchedFolder.read_names == []
    assert len(numbers_of(folder, ".arc")) >= 4
    assert recover(folder, "node", load, BOOT).replay.streams["bank"].env == worker.engines["bank"].cell.env


def test_a_segment_is_archived_while_it_is_about_to_be_synced(tmp_path: Path) -> None:
    """False if a log stopped because of what the child that archives does beside it."""

    class Overtaken(Folder):
        def open(self, name: str, /) -> File:
            self.rename(name, name.replace(".log", ".arc"))
            return super().open(name)

    worker = Worker(Overtaken(str(tmp_path / "slot"), make=True))
    worker.bear("bank")
    pay(worker, 2)
    worker.journal.begin_segment()
    pay(worker, 2)
    worker.journal.sync()
    assert (worker.journal.stopped, worker.journal.synced) == ("", worker.journal.position)
    assert len(numbers_of(worker.folder, ".arc")) == 1


def test_the_oldest_segment_is_one_that_is_left(tmp_path: Path) -> None:
    """False if what a process knew of a segment that its child removed kept the code of old versions for ever."""
    folder = Folder(str(tmp_path / "slot"), make=True)
    worker, snapshots = bank_in(folder, retain_bytes=0)
    pay(worker, 1)
    assert snapshots.take(state_of(folder)).oldest_ns == START_NS
    for number in range(1, 5):
        worker.clock.now_ns = START_NS + number
        pay(worker, 2)
        state = state_of(folder)
        written = ended(snapshots, snapshots.start(lambda state=state: state))  # type: ignore[misc]
    left = [decode_segment(segment.data, checksums()).made_ns for segment in segments_of(folder, history=True)]
    assert written.oldest_ns == min(left) > START_NS


def test_nobody_opens_a_log_while_a_child_archives(tmp_path: Path) -> None:
    """False if a worker could begin in a log whose files the child of its killed predecessor still renames."""
    folder = Folder(str(tmp_path / "slot"), make=True)
    worker = Worker(folder)
    worker.bear("bank")
    held, state, gate = lock(folder.path), state_of(folder), tmp_path / "gate"
    gate.touch()
    snapshots = Snapshots(folder, worker.journal, worker.clock)

    def slow() -> LogState:
        while gate.exists():
            time.sleep(0.01)
        return state

    reading = snapshots.start(slow, held)
    os.close(held)
    again = os.open(tmp_path / "slot" / LOCK, os.O_RDWR)
    with pytest.raises(BlockingIOError):
        fcntl.flock(again, fcntl.LOCK_EX | fcntl.LOCK_NB)
    gate.unlink()
    assert ended(snapshots, reading).reason == ""
    fcntl.flock(again, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_a_segment_of_another_log_is_noticed_behind_a_snapshot(tmp_path: Path) -> None:
    """False if a reader that begins at a snapshot took a segment of another log for the place to begin at."""
    folder = Folder(str(tmp_path / "slot"), make=True)
    worker, snapshots = bank_in(folder)
    for _ in range(2):
        pay(worker, 5)
        assert snapshots.take(state_of(folder)).reason == ""
    pay(worker, 2)
    (newest,) = [segment for segment in segments_of(folder) if segment.number == worker.journal.head.number]
    head = msgspec.structs.replace(
        worker.journal.head, number=newest.number + 1, log_id=b"of another log..", base=100, synced=0
    )
    (tmp_path / "slot" / f"{newest.number + 1:08}.log").write_bytes(encode_segment(head, checksums()[head.kind]))
    last = [*snapshots_of(folder)][-1]
    with pytest.raises(Damaged, match="another log"):
        list(scan_from(folder, last).batches())
    past = list(log_pasts(folder.path, "node", load, {"bank": 24}, 8))
    assert [(type(one), "another log" in str(one)) for one in past] == [(PastLost, True)]
