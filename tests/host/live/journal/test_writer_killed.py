"""kill -9 of a writer at any moment: what it acknowledged is there, applied once, in order."""

from __future__ import annotations

import os
import select
import signal
from pathlib import Path
from random import Random

import pytest
from journal_engines import Pay
from journal_worker import BOOT, Worker, load, log_state_of, marks_of

from engines.model import Ref
from host.live.journal.folder import Folder
from host.live.journal.recovery import recover
from host.live.journal.snapshots import Snapshots

PAID: Ref[object] = Ref("shop")
LIVES = 25


def live(path: str, mode: str, said: int) -> None:
    """A life: pay one at a time, and say each balance once it is committed; snapshots between."""
    folder = Folder(path, make=True)
    worker = Worker(folder, mode, segment_bytes=20_000)
    if "bank" not in worker.engines:
        worker.bear("bank")
        worker.commit()
    snapshots = Snapshots(folder, worker.journal, worker.clock)
    turns = worker.engines["bank"].turns
    while True:
        worker.mail("alice", "bank", [Pay(1, PAID)])
        worker.commit()
        turns += 1
        os.write(said, turns.to_bytes(8, "little"))
        if turns % 40 == 0:
            snapshots.take(log_state_of(recover(folder, "node", load, BOOT).replay))


@pytest.mark.storm
@pytest.mark.parametrize("mode", ["crash", "durable"])
def test_a_writer_is_killed_again_and_again(tmp_path: Path, mode: str) -> None:
    """25 lives of one log, each ended by SIGKILL after a random number of commits."""
    random = Random(11)
    path = str(tmp_path / "slot")
    balance = 0
    for _ in range(LIVES):
        reading, writing = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                live(path, mode, writing)
            finally:
                os._exit(1)
        os.close(writing)
        last = read_some(reading, random.randint(1, 60))
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        last = max(last, read_rest(reading))
        found = recover(Folder(path), "node", load, BOOT)
        bank = found.replay.streams["bank"]
        assert bank.env.state.balance == bank.turns
        assert last <= bank.turns <= last + 1
        assert bank.turns > balance
        assert marks_of(bank) == {("alice", 0): (1, bank.turns + 1)}
        balance = bank.turns
    assert balance > LIVES


def read_some(reading: int, count: int) -> int:
    """The `count`-th balance it says."""
    last = 0
    for _ in range(count):
        assert select.select([reading], [], [], 20)[0], "no commit within 20 s"
        data = os.read(reading, 8)
        assert len(data) == 8, "the writer ended by itself"
        last = int.from_bytes(data, "little")
    return last


def read_rest(reading: int) -> int:
    """The last balance that was said before it died."""
    data = b""
    while piece := os.read(reading, 4096):
        data += piece
    os.close(reading)
    return int.from_bytes(data[-8:], "little") if data else 0
