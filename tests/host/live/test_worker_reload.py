"""A worker hands its engines over: frozen, thawed, adopted by a candidate."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from live_nodes import until
from worker_harness import (
    ASKER,
    COUNTER,
    FAMILIES,
    WATCHER,
    Bench,
    asking,
    counting,
    encode_total,
    item,
    state,
)

from host.config.spec import EngineSpec
from host.live import wire
from host.live.packets import read_memory_file
from host.node.news import Waits
from transport.native import native_available

pytestmark = pytest.mark.skipif(not native_available(), reason="the harness plays peers through lanes")


def test_freeze_and_adopt_keep_state_order_and_counts(bench: Bench) -> None:
    """False if a reload under load lost a message, ran one twice, or swapped two."""
    peer = bench.peer(2)
    worker = bench.worker(EngineSpec("w", WATCHER))
    outlet = peer.link.outlet(1, "test", "w", 0, 1, 1)
    sent = 0

    def send(count: int) -> None:
        nonlocal sent
        for _ in range(count):
            sent += outlet.send(item(sent))
        peer.link.flush()

    for _ in range(5):
        send(3_000)
        candidate = bench.worker(EngineSpec("w", WATCHER), candidate=True)
        candidate.hear(wire.Ready)
        send(1_000)
        worker.say(wire.Freeze())
        worker.hear(wire.Frozen)
        candidate.say(wire.Adopt(), worker.descriptors[-1])
        candidate.hear(wire.Adopted)
        worker.say(wire.Exit())
        assert worker.ended() == 0
        send(500)
        candidate.say(wire.Go(), *bench.own())
        bench.attach(candidate)
        candidate.hear(wire.Ready)
        worker = candidate
    until(lambda: state(worker, "w")["count"] >= sent, "the last message")
    seen = state(worker, "w")
    assert (seen["count"], seen["disorder"], seen["next"]) == (sent, 0, sent)


def test_thaw_goes_on_as_if_nothing_had_been(bench: Bench) -> None:
    """False if a reload that was given up cost anything."""
    peer = bench.peer(2)
    worker = bench.worker(EngineSpec("a", COUNTER))
    peer.send("a", counting("Add", 1))
    worker.say(wire.Freeze())
    worker.hear(wire.Frozen)
    peer.send("a", counting("Add", 2), next_n=2)
    worker.say(wire.Thaw())
    assert state(worker, "a") == {"total": 3}


def test_a_snapshot_carries_a_question_its_mail_and_what_could_not_leave(bench: Bench) -> None:
    """False if a reload answered a choice for its user, or lost parked mail or held outputs."""
    peer = bench.peer(2)
    worker = bench.worker(EngineSpec("q", ASKER), EngineSpec("a", COUNTER))
    peer.send("q", asking("Question"), asking("Word", "later"))
    waits = worker.hear(Waits)
    assert (waits.engine, waits.options) == ("q", ("yes", "no"))
    peer.send("a", counting("Add", 4), counting("Ask", "test"))
    worker.hear(wire.Resolve)
    assert [(s["engine"], s["state"], s["mailbox_depth"]) for s in worker.ask("stats")] == [
        ("q", "suspended", 1),
        ("a", "paused", 0),
    ]
    candidate = bench.worker(EngineSpec("q", ASKER), EngineSpec("a", COUNTER), candidate=True)
    worker.say(wire.Freeze())
    assert worker.hear(wire.Frozen).queued == 1
    candidate.say(wire.Adopt(), worker.descriptors[-1])
    candidate.hear(wire.Adopted)
    worker.say(wire.Exit())
    worker.ended()
    candidate.say(wire.Go(), *bench.own())
    bench.attach(candidate)
    assert candidate.hear(wire.Resolve).name == "test"
    candidate.say(wire.Route("test", 2))
    frame = peer.frame()
    assert (frame.sender, frame.first_n, frame.payloads) == ("a", 1, [encode_total(4)])
    candidate.say(wire.Answer(9, "q", "yes"))
    assert candidate.hear(wire.Reply, lambda reply: reply.id == 9).error == ""
    assert state(candidate, "q") == {"words": ["yes", "later"]}


def test_a_candidate_that_cannot_adopt_says_so_and_ends_only_itself(bench: Bench, tmp_path: Path) -> None:
    """False if a failing migration went unnoticed, or touched the slot."""
    source = Path(FAMILIES, "counting.py").read_text()
    changed = source.replace("total: int = 0", 'total: str = ""')
    assert changed != source
    (tmp_path / "changing.py").write_text(source)
    engine = EngineSpec("a", "changing:COUNTER")
    worker = bench.worker(engine, roots=(str(tmp_path),))
    worker.hear(wire.Ready)
    (tmp_path / "changing.py").write_text(changed)
    candidate = bench.worker(engine, candidate=True, roots=(str(tmp_path),))
    candidate.hear(wire.Ready)
    worker.say(wire.Freeze())
    worker.hear(wire.Frozen)
    candidate.say(wire.Adopt(), worker.descriptors[-1])
    failed = candidate.hear(wire.EngineFailed)
    assert failed.reason == "adopt"
    assert "total" in failed.detail
    worker.say(wire.Thaw())
    assert state(worker, "a") == {"total": 0}


def test_a_snapshot_that_nobody_wants_any_more_is_given_up(bench: Bench) -> None:
    """False if a process whose reload is off goes on handing out, or does what came meanwhile out of order."""
    peer = bench.peer(2)
    worker = bench.worker(EngineSpec("a", COUNTER))
    worker.hear(wire.Ready)
    peer.send("a", counting("Add", 3))
    os.kill(worker.pid, signal.SIGSTOP)
    os.waitpid(worker.pid, os.WUNTRACED)
    worker.say(wire.Freeze())
    worker.say(wire.Query(7, "state", "a"))
    worker.say(wire.Thaw())
    os.kill(worker.pid, signal.SIGCONT)
    worker.hear(wire.AtBoundary)
    assert worker.hear(wire.Reply, lambda reply: reply.id == 7).payload[0]["state"] == {"total": 3}
    assert not any(isinstance(packet, wire.Frozen) for packet in worker.heard)
    peer.send("a", counting("Add", 1), next_n=2)
    assert state(worker, "a") == {"total": 4}


def test_snapshot_bytes_are_sealed(bench: Bench) -> None:
    """False if a process could change a snapshot that another one reads."""
    worker = bench.worker(EngineSpec("a", COUNTER))
    worker.say(wire.Freeze())
    worker.hear(wire.Frozen)
    snapshot = worker.descriptors[-1]
    assert read_memory_file(snapshot)
    with pytest.raises(OSError, match="not permitted"):
        os.pwrite(snapshot, b"x", 0)
