"""A disk without room, at every byte of a life, and lives that begin on it: once there is room all is there.

False if anything acknowledged were missing, if the log were called damaged, or if what a full disk left of a file kept
the next life from going on.
"""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from journal_engines import Pay
from journal_worker import BOOT, Clock, Worker, load, log_state_of
from simulated_disk import Fault, SimulatedFolder

from engines.model import Ref
from host.live.journal.recovery import recover
from host.live.journal.snapshots import Snapshots
from host.live.journal.writer import LogStopped

PAID: Ref[object] = Ref("shop")
SEGMENT_BYTES = 1500
State = dict[str, tuple[int, Any]]
Mode = str


def states(engines: dict[str, Any]) -> State:
    """Turns and environments, of the engines of a worker."""
    return {name: (engine.turns, engine.cell.env) for name, engine in engines.items()}


def found_in(folder: SimulatedFolder) -> State:
    """What a recovery in the same boot finds."""
    return {name: (one.turns, one.env) for name, one in recover(folder, "node", load, BOOT).replay.streams.items()}


def live(folder: SimulatedFolder, mode: Mode, cycles: int, done: list[State], random: Random) -> bool:
    """A life: some mail, a snapshot every third cycle, a peaceful end. `done` gets what was acknowledged, then what
    was written and may be there; whether the disk had room for all of it."""
    try:
        worker = Worker(folder, mode, clock=Clock(10**10), segment_bytes=SEGMENT_BYTES)
        snapshots = Snapshots(folder, worker.journal, worker.clock)
        for name in ("a", "b"):
            if name not in worker.engines:
                worker.bear(name)
        for cycle in range(cycles):
            for name in ("a", "b"):
                worker.mail("alice", name, [Pay(random.randint(1, 99), PAID) for _ in range(random.randint(1, 4))])
            done.append(states(worker.engines))
            worker.commit()
            del done[:-1]
            if cycle % 3 == 2:
                snapshots.take(worker_state(worker))
        worker.journal.close()
    except (LogStopped, OSError):
        return False
    return True


def worker_state(worker: Worker) -> Any:
    """What a snapshot holds: the log as a recovery reads it, since this worker keeps no unacknowledged outputs."""
    return log_state_of(recover(worker.folder, "node", load, BOOT).replay)


@pytest.mark.parametrize("mode", ["crash", "durable"])
@pytest.mark.parametrize("lives_on_it", [1, 2, 3])
def test_a_disk_that_fills_up_at_any_byte_costs_nothing(mode: Mode, lives_on_it: int) -> None:
    """False if a log that a full disk cut short, with more lives begun on that disk, were not what was acknowledged."""
    for room in range(40, 9_000, 397):
        random, folder = Random(room), SimulatedFolder()
        folder.room = room
        done: list[State] = [{}]
        if live(folder, mode, 7, done, random):
            continue
        for place in range(lives_on_it - 1):
            folder.room = (0, 60, 130, 200)[(room + place) % 4]
            assert not live(folder, mode, 7, done, random)
        folder.room = None
        assert found_in(folder) in done, f"{mode}, {room} bytes"
        assert live(folder, mode, 4, done, random)
        assert found_in(folder) == done[-1]


@pytest.mark.parametrize("mode", ["crash", "durable"])
@pytest.mark.parametrize("fault", ["ENOSPC", "EIO", "short"])
def test_a_fault_at_any_call_of_a_life_costs_nothing(mode: Mode, fault: Fault) -> None:
    """False if an error of the disk, at a write, a sync, a name, a snapshot or the archiving, cost anything
    acknowledged, whether the next life meets it again or not."""
    calls = 0
    while True:
        calls += 1
        random, folder = Random(calls), SimulatedFolder()
        done: list[State] = [{}]
        folder.faults = {calls: fault}
        live(folder, mode, 4, done, random)
        if folder.calls < calls:
            break
        folder.faults = {folder.calls + 1 + calls % 9: fault}
        live(folder, mode, 2, done, random)
        folder.faults = {}
        assert found_in(folder) in done, f"{mode}, {fault} at call {calls}"
        assert live(folder, mode, 4, done, random)
        assert found_in(folder) == done[-1]
    assert calls > 20
