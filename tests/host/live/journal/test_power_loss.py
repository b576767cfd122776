"""Loss of power, at every step, in every legal state of the disk; and disks that fail at every call.

False if anything acknowledged were missing in a durable log, if what is recovered were no prefix of what was done, if a
legal state were called damaged, or if a writer went on after its disk failed.
"""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from journal_engines import Decide, Gamble, Later, Pay
from journal_worker import BOOT, Clock, Worker, load
from simulated_disk import LOSSES, Fault, SimulatedFolder

from engines.model import Ref
from host.live.journal.recovery import recover
from host.live.journal.writer import LogStopped

PAID: Ref[object] = Ref("shop")
OTHER_BOOT = b"another boot...."
State = dict[str, tuple[int, Any]]


def work(worker: Worker, cycles: int, done: list[State], acknowledged: list[int]) -> None:
    """Cycles of mail; `done` gets the state before each commit, `acknowledged` how many of these were acknowledged."""
    random = Random(7)
    for cycle in range(cycles):
        for name in ("a", "b"):
            count = random.randint(1, 12)
            worker.mail("alice", name, [Pay(random.randint(1, 99), PAID) for _ in range(count)])
        if cycle == 1:
            worker.mail("bob", "a", [Gamble(), Later(10)])
        if cycle == 2:
            worker.mail("bob", "a", [Decide()])
        if cycle == 3:
            worker.answer("a", "no")
        worker.clock.now_ns += 7
        worker.fire("a")
        done.append(states(worker))
        worker.commit()
        acknowledged.append(len(done) - 1)


def states(worker: Worker) -> State:
    return {name: (engine.turns, engine.cell.env) for name, engine in worker.engines.items()}


def start(folder: SimulatedFolder, mode: str, segment_bytes: int) -> Worker:
    worker = Worker(folder, mode, segment_bytes=segment_bytes)
    worker.bear("a")
    worker.bear("b")
    return worker


def survive(mode: str, samples: int, seed: int) -> int:
    """Lose power after every change of the disk, `samples` times in each way; how many states were looked at."""
    folder = SimulatedFolder()
    random = Random(seed)
    done: list[State] = [{}]
    acknowledged = [0]
    seen: set[int] = set()

    def lose_power(disk: SimulatedFolder) -> None:
        for loss in LOSSES:
            for _ in range(samples if loss in ("torn", "sectors") else 1):
                after = disk.after_power_loss(loss, random)
                mark = hash(tuple(sorted(after.contents().items())))
                if mark not in seen:
                    seen.add(mark)
                    check(after, mode, done, acknowledged[-1] if mode == "durable" else 0)

    folder.watch = lose_power
    worker = start(folder, mode, segment_bytes=3000)
    work(worker, 20, done, acknowledged)
    worker.journal.close()
    return len(seen)


def check(disk: SimulatedFolder, mode: str, done: list[State], acknowledged: int) -> None:
    """The engines are those after some cycle, none acknowledged is missing, and a new life goes on from there."""
    found = recover(disk, "node", load, OTHER_BOOT)
    state = {name: (stream.turns, stream.env) for name, stream in found.replay.streams.items()}
    assert state in done, f"{mode}: no prefix of what was done: {state}"
    assert done.index(state) >= acknowledged
    worker = Worker(disk, mode, boot=OTHER_BOOT)
    if state:
        worker.mail("carol", "b", [Pay(1, PAID)])
        worker.commit()
        third = recover(disk, "node", load, OTHER_BOOT)
        assert third.replay.streams["b"].turns == state["b"][0] + 1
        if mode == "durable":
            after = disk.after_power_loss("all", Random(1))
            assert recover(after, "node", load, b"a third boot....").replay.streams["b"].turns == state["b"][0] + 1


@pytest.mark.storm
def test_power_is_lost_in_two_thousand_states() -> None:
    seed = 20240601
    count = survive("durable", 40, seed) + survive("crash", 40, seed)
    print(f"seed {seed}: {count} states")
    assert count >= 2000


@pytest.mark.long
@pytest.mark.parametrize("seed", range(10))
def test_power_is_lost_in_fifty_thousand_states(seed: int) -> None:
    """Ten seeds of five thousand."""
    count = survive("durable", 150, seed) + survive("crash", 150, seed)
    print(f"seed {seed}: {count} states")
    assert count >= 5000


@pytest.mark.parametrize("mode", ["crash", "durable"])
@pytest.mark.parametrize("fault", ["ENOSPC", "EIO", "short"])
def test_a_disk_that_fails_at_any_call_stops_the_writer(mode: str, fault: Fault) -> None:
    """And the next life, in the same boot, acknowledges only what a loss of power then leaves."""
    calls = 0
    while True:
        calls += 1
        folder = SimulatedFolder()
        folder.faults = {calls: fault}
        done: list[State] = [{}]
        acknowledged = [0]
        try:
            worker = start(folder, mode, segment_bytes=3000)
        except (LogStopped, OSError):
            continue
        try:
            work(worker, 12, done, acknowledged)
            worker.journal.close()
        except LogStopped:
            for again in (worker.journal.append, worker.journal.sync, worker.journal.begin_segment):
                with pytest.raises(LogStopped):
                    again()
        else:
            if calls > folder.calls:
                break
        folder.faults = {}
        after_failure(folder, mode, done, acknowledged[-1])
    assert calls > 15


def after_failure(folder: SimulatedFolder, mode: str, done: list[State], acknowledged: int) -> None:
    found = recover(folder, "node", load, BOOT)
    state = {name: (stream.turns, stream.env) for name, stream in found.replay.streams.items()}
    assert state in done
    assert done.index(state) >= acknowledged
    worker = Worker(folder, mode, clock=Clock(10**10))
    if mode == "durable":
        lost = folder.after_power_loss("all", Random(3))
        kept = recover(lost, "node", load, OTHER_BOOT)
        assert {name: (stream.turns, stream.env) for name, stream in kept.replay.streams.items()} == state
    assert worker.journal.stopped == ""


def test_a_log_becomes_durable() -> None:
    """False if what an earlier life left in the cache were claimed to be on the disk, or were lost once it was."""
    folder = SimulatedFolder()
    done: list[State] = [{}]
    worker = start(folder, "crash", segment_bytes=3000)
    work(worker, 6, done, [0])
    second = Worker(folder, "durable")
    second.mail("carol", "b", [Pay(1, PAID)])
    second.commit()
    for loss in LOSSES:
        for seed in range(20):
            after = folder.after_power_loss(loss, Random(seed))
            assert states_of(after, OTHER_BOOT) == states(second)


def states_of(disk: SimulatedFolder, boot: bytes) -> State:
    """What a recovery finds."""
    found = recover(disk, "node", load, boot)
    return {name: (stream.turns, stream.env) for name, stream in found.replay.streams.items()}
