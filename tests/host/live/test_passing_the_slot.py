"""A worker with a journal passes its slot on to a candidate that follows it; the test plays the supervisor."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest
from deadline import DEADLINE_NS
from live_nodes import until
from worker_harness import COUNTER, WATCHER, Bench, Worker, counting, item, state

from host.config.spec import EngineSpec
from host.live import wire
from host.live.packets import baton_end, channel_pair
from host.node.snapshot import FORMAT, SlotImage
from transport.native import native_available

pytestmark = pytest.mark.skipif(not native_available(), reason="the harness plays peers through lanes")

MODES = ["crash", "durable"]


class Passing:
    """A primed candidate, and what it shares with the two others."""

    def __init__(self, bench: Bench, folder: Path, engine: EngineSpec) -> None:
        self.candidate = bench.worker(engine, candidate=True, journal=str(folder))
        self.candidate.hear(wire.Ready)
        self.candidate.say(wire.Follow(from_log=True, within_ns=DEADLINE_NS))
        assert self.candidate.hear(wire.Level).reason == ""
        self.token = os.eventfd(1, os.EFD_NONBLOCK)
        self.baton, theirs = channel_pair()
        with theirs:
            self.candidate.say(wire.Prime(), *bench.own(), theirs.fileno(), self.token)
        bench.attach(self.candidate)
        assert self.candidate.hear(wire.Primed).reason == ""

    def by(self, worker: Worker) -> None:
        """The worker passes its slot on."""
        worker.say(wire.Pass(), self.baton.fileno())
        self.baton.close()

    def close(self) -> None:
        os.close(self.token)
        self.baton.close()

    def is_taken(self) -> bool:
        """Whether the candidate has the slot; from now on it cannot take it."""
        try:
            return not os.eventfd_read(self.token)
        except BlockingIOError:
            return True


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """That of the log."""
    (tmp_path / "log").mkdir()
    return tmp_path / "log"


def engine(family: str, mode: Any) -> EngineSpec:
    return EngineSpec("w", family, durability=mode)


@pytest.mark.parametrize("mode", MODES)
def test_mail_is_handled_once_and_in_order_however_often_a_slot_is_passed_on(
    bench: Bench, folder: Path, mode: str
) -> None:
    """False if a cut under load lost a message, ran one twice, or swapped two; or if a recovery found another state."""
    peer, spec = bench.peer(2), engine(WATCHER, mode)
    worker = bench.worker(spec, journal=str(folder))
    worker.hear(wire.Ready)
    outlet = peer.link.outlet(1, "test", "w", 0, 1, 1)
    sent = 0

    def send(count: int) -> None:
        nonlocal sent
        for _ in range(count):
            sent += outlet.send(item(sent))
        peer.link.flush()

    for _ in range(3):
        send(500)
        with closing(Passing(bench, folder, spec)) as passing:
            send(500)
            passing.by(worker)
            send(500)
            passing.candidate.hear(wire.Took)
            assert passing.is_taken()
            worker.kill()
            worker = passing.candidate
            worker.hear(wire.Ready)
    until(lambda: state(worker, "w")["count"] >= sent, "the last message")
    seen = state(worker, "w")
    assert (seen["count"], seen["disorder"], seen["next"]) == (sent, 0, sent)
    worker.kill()
    again = bench.worker(spec, journal=str(folder))
    again.hear(wire.Ready)
    assert state(again, "w") == seen


@pytest.mark.parametrize("mode", MODES)
def test_an_old_process_goes_on_where_the_token_was_withdrawn(bench: Bench, folder: Path, mode: str) -> None:
    """False if a candidate without the token wrote, or an old process lost its log, its mail or its lanes to it."""
    peer, spec = bench.peer(2), engine(COUNTER, mode)
    worker = bench.worker(spec, journal=str(folder))
    peer.send("w", counting("Add", 1))
    worker.hear(wire.Ready)
    with closing(Passing(bench, folder, spec)) as passing:
        assert not passing.is_taken()
        passing.by(worker)
        peer.send("w", counting("Add", 2), next_n=2)
        worker.say(wire.Thaw())
        assert state(worker, "w") == {"total": 3}
        assert [one for one in passing.candidate.heard if isinstance(one, wire.Took | wire.Ready)] == []
        passing.candidate.say(wire.Exit())
        assert passing.candidate.ended() == 0
    worker.kill()
    again = bench.worker(spec, journal=str(folder))
    assert state(again, "w") == {"total": 3}


def test_a_process_whose_slot_was_passed_on_leaves_without_another_cycle(bench: Bench, folder: Path) -> None:
    """False if an old process that has to exit handled mail, or closed a log, that another one has."""
    peer, spec = bench.peer(2), engine(COUNTER, "crash")
    worker = bench.worker(spec, journal=str(folder))
    worker.hear(wire.Ready)
    with closing(Passing(bench, folder, spec)) as passing:
        passing.by(worker)
        passing.candidate.hear(wire.Took)
        peer.send("w", counting("Add", 4))
        worker.say(wire.Exit(10_000_000_000))
        assert worker.ended() == 0
        assert state(passing.candidate, "w") == {"total": 4}
        passing.candidate.kill()
    again = bench.worker(spec, journal=str(folder))
    assert state(again, "w") == {"total": 4}


def test_a_candidate_gives_up_if_the_old_process_ends_before_it_passes_the_slot(bench: Bench, folder: Path) -> None:
    """False if a candidate waited for ever, or took a slot that nobody passed on."""
    spec = engine(COUNTER, "crash")
    worker = bench.worker(spec, journal=str(folder))
    worker.hear(wire.Ready)
    with closing(Passing(bench, folder, spec)) as passing:
        os.kill(worker.pid, signal.SIGSTOP)
        passing.by(worker)
        worker.kill()
        passing.candidate.hear(wire.NotPassed)
        assert not passing.is_taken()


def test_a_candidate_whose_last_turns_do_not_fit_takes_nothing(bench: Bench, folder: Path) -> None:
    """False if new code that differs in the last turns had the slot, or the old process could not go on."""
    peer, spec = bench.peer(2), engine(COUNTER, "crash")
    worker = bench.worker(spec, journal=str(folder))
    worker.hear(wire.Ready)
    with closing(Passing(bench, folder, spec)) as passing:
        slot = msgspec.msgpack.encode(SlotImage(FORMAT, [], {}, []))
        baton_end(passing.baton).send(wire.Passed(0, 1, [slot]))
        assert "its writer was at 1" in passing.candidate.hear(wire.EngineFailed).detail
        assert not passing.is_taken()
    peer.send("w", counting("Add", 5))
    assert state(worker, "w") == {"total": 5}
