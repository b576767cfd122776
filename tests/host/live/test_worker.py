"""A worker in a process of its own, between a supervisor and peers that the test plays."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from worker_harness import DEADLINE_S, FAMILIES, Bench, Worker

from engines.model import encode, load_family
from host.config.spec import EngineSpec, MailboxSpec
from host.live import wire
from host.live.packets import read_memory_file
from transport.native import native_available
from transport.port import KIND_GO, KIND_STOP

pytestmark = pytest.mark.skipif(not native_available(), reason="the harness plays peers through lanes")

COUNTER = "counting:COUNTER"
WATCHER = "blasting:WATCHER"
ASKER = "asking:ASKER"


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench()
    yield made
    made.close()


def counting(tag: str, *values: Any) -> bytes:
    """A message of the counting families."""
    return _message(COUNTER, tag, *values)


def asking(tag: str, *values: Any) -> bytes:
    """A message of the asking families."""
    return _message(ASKER, tag, *values)


def item(number: int) -> bytes:
    """A numbered item."""
    return _message(WATCHER, "Item", number)


def _message(ref: str, tag: str, *values: Any) -> bytes:
    kinds = load_family(ref, (FAMILIES,)).accepts_types
    kind = next(kind for kind in kinds if kind.__name__ == tag)
    return encode(kind(*values))


def state(worker: Worker, engine: str) -> Any:
    """An engine's state, after everything that lies in its lanes was handled."""
    worker.ask("stats", number=1)
    (found,) = worker.ask("state", engine, number=2)
    return found["state"]


def test_it_says_who_it_is_and_what_it_runs(bench: Bench) -> None:
    """False if the supervisor could not watch it, or not know when an engine is ready."""
    worker = bench.worker(EngineSpec("a", COUNTER), EngineSpec("b", COUNTER))
    hello = worker.hear(wire.Hello)
    assert hello.pid == worker.pid
    signal.pidfd_send_signal(worker.descriptors[0], 0)
    running = [worker.hear(wire.Ready).engines[0] for _ in range(2)]
    assert [(engine.name, engine.family, engine.family_name) for engine in running] == [
        ("a", COUNTER, "counter"),
        ("b", COUNTER, "counter"),
    ]
    assert running[0].version == running[1].version != ""
    assert {"Add", "Ask"} <= set(running[0].interface["boxes"][0]["accepts"])


def test_a_message_in_and_its_answer_out(bench: Bench) -> None:
    """False if a name that is asked for while messages wait got them late, twice or never."""
    peer = bench.peer(2)
    worker = bench.worker(EngineSpec("a", COUNTER))
    peer.send("a", counting("Add", 5), counting("Ask", "test"), counting("Add", 1), counting("Ask", "test"))
    assert worker.hear(wire.Resolve).name == "test"
    worker.say(wire.Route("test", 2))
    frame = peer.frame()
    assert (frame.sender, frame.target, frame.epoch, frame.first_n) == ("a", "test", 1, 1)
    assert frame.payloads == [encode_total(5), encode_total(6)]


def encode_total(count: int) -> bytes:
    total = next(kind for kind in load_family(COUNTER, (FAMILIES,)).emits_types)
    return encode(total(count))


def test_the_end_of_its_supervisor_is_its_own(bench: Bench) -> None:
    """False if a worker outlived the supervisor."""
    worker = bench.worker(EngineSpec("a", COUNTER))
    worker.hear(wire.Ready)
    worker.channel.close()
    assert worker.ended() == 0


def test_it_ends_in_the_middle_of_work_when_its_supervisor_goes(bench: Bench) -> None:
    """False if a busy worker never looked at its socket."""
    peer = bench.peer(2)
    worker = bench.worker(EngineSpec("a", COUNTER))
    worker.hear(wire.Ready)
    outlet = peer.link.outlet(1, "test", "a", 0, 1, 1)
    payload = counting("Add")
    worker.channel.close()
    deadline = time.monotonic() + DEADLINE_S
    while os.waitpid(worker.pid, os.WNOHANG)[0] == 0:
        outlet.send(payload)
        peer.link.flush()
        assert time.monotonic() < deadline
    worker.is_over = True


@pytest.mark.parametrize(
    ("spec", "reason", "where"),
    [
        (EngineSpec("x", "nowhere:X"), "import", "nowhere"),
        (EngineSpec("x", "counting:NOTHING"), "import", "COUNTER"),
        (EngineSpec("x", COUNTER, params={"no": 1}), "config", "no parameters"),
        (EngineSpec("x", COUNTER, state={"total": "many"}), "config", "total"),
        (EngineSpec("x", COUNTER, mailboxes={3: MailboxSpec()}), "config", "no mailbox 3"),
        (EngineSpec("x", "blasting:BLASTER"), "config", "device"),
    ],
)
def test_an_engine_that_cannot_start_says_why_and_its_neighbour_runs(
    bench: Bench, spec: EngineSpec, reason: str, where: str
) -> None:
    """False if one bad engine took its group down, or nobody learnt what is wrong with it."""
    worker = bench.worker(spec, EngineSpec("good", COUNTER))
    failed = worker.hear(wire.Failed)
    assert (failed.engine, failed.reason) == ("x", reason)
    assert where in failed.detail
    assert worker.hear(wire.Ready).engines[0].name == "good"


def test_a_family_that_raises_in_its_module_names_file_and_line(bench: Bench, tmp_path: Path) -> None:
    """False if a mistake in a user's module had to be searched for."""
    (tmp_path / "raising.py").write_text("ok = 1\n\nraise ValueError('as written')\n")
    worker = bench.worker(EngineSpec("x", "raising:X"), roots=(str(tmp_path),))
    failed = worker.hear(wire.Failed)
    assert failed.reason == "import"
    assert f"{tmp_path}/raising.py:3" in failed.detail
    assert "as written" in failed.detail


def test_kill_in_a_transition_costs_that_message_and_no_other(bench: Bench) -> None:
    """False if a kill lost mail that had not run, ran the poison again, or the page named another message."""
    peer = bench.peer(2)
    first = bench.worker(EngineSpec("a", COUNTER))
    first.hear(wire.Ready)
    peer.send("a", counting("Add", 1), counting("Add", 10), counting("Die"), counting("Add", 100))
    assert first.ended() == -signal.SIGKILL
    in_flight = bench.reading().in_flight
    assert in_flight == wire.InFlight("a", "test", 0, 1, 3)
    second = bench.worker(EngineSpec("a", COUNTER), crashed=in_flight)
    (letter,) = second.letters(1)
    assert (letter.reason, letter.sender, letter.target, letter.message) == ("crashed", "test", "a", ["Die"])
    assert state(second, "a") == {"total": 111}


def test_what_was_handled_before_a_kill_is_not_handled_again(bench: Bench) -> None:
    """False if a message whose cycle was over came again to the slot's next process."""
    peer = bench.peer(2)
    first = bench.worker(EngineSpec("a", COUNTER))
    peer.send("a", counting("Add", 1))
    assert state(first, "a") == {"total": 1}
    first.ask("stats", number=3)
    assert bench.reading().handled == 1
    first.kill()
    assert bench.reading().in_flight is None
    second = bench.worker(EngineSpec("a", COUNTER))
    peer.send("a", counting("Add", 20), next_n=2)
    assert state(second, "a") == {"total": 20}


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
    waits = worker.hear(wire.Waits)
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
    failed = candidate.hear(wire.Failed)
    assert failed.reason == "adopt"
    assert "total" in failed.detail
    worker.say(wire.Thaw())
    assert state(worker, "a") == {"total": 0}


def test_a_filling_mailbox_says_stop_and_later_go(bench: Bench) -> None:
    """False if a sender in another process filled a mailbox without being told, or was never told to go on."""
    peer = bench.peer(2)
    worker = bench.worker(EngineSpec("q", ASKER, mailboxes={0: MailboxSpec(capacity=8)}))
    peer.send("q", asking("Question"), *[asking("Word", str(n)) for n in range(6)])
    frame = peer.frame()
    assert (frame.kind, frame.target) == (KIND_STOP, "q")
    worker.say(wire.Answer(1, "q", "no"))
    frame = peer.frame()
    assert (frame.kind, frame.target) == (KIND_GO, "q")


def test_a_large_answer_comes_in_a_memory_file(bench: Bench) -> None:
    """False if a state larger than a packet could not be looked at."""
    peer = bench.peer(2)
    worker = bench.worker(EngineSpec("q", ASKER))
    peer.send("q", *[asking("Word", "w" * 1_000)] * 200)
    assert len(state(worker, "q")["words"]) == 200


def test_queries_about_nobody_are_errors(bench: Bench) -> None:
    """False if a wrong question were answered with silence."""
    worker = bench.worker(EngineSpec("a", COUNTER))
    worker.say(wire.Query(1, "state", "b"))
    worker.say(wire.Query(2, "mood"))
    assert "b does not live here" in worker.hear(wire.Reply).error
    assert "mood" in worker.hear(wire.Reply).error


def test_exit_with_time_handles_what_is_there_first(bench: Bench) -> None:
    """False if a clean end lost mail that had arrived."""
    peer = bench.peer(2)
    worker = bench.worker(EngineSpec("a", COUNTER))
    worker.hear(wire.Ready)
    os.kill(worker.pid, signal.SIGSTOP)
    peer.send("a", *[counting("Add")] * 5_000)
    worker.say(wire.Exit(drain_ns=5_000_000_000))
    os.kill(worker.pid, signal.SIGCONT)
    assert worker.ended() == 0
    assert bench.reading().handled == 5_000


def test_a_child_is_told_before_its_mail_can_be_asked_for(bench: Bench) -> None:
    """False if another process could ask for a name that the supervisor has not heard yet."""
    peer = bench.peer(2)
    worker = bench.worker(EngineSpec("a", COUNTER))
    peer.send("a", counting("Breed"))
    spawn = worker.hear(wire.Spawn)
    assert (spawn.birth.spec.name, spawn.birth.parent, spawn.placed_here) == ("a/child", "a", True)
    assert worker.hear(wire.Ready, lambda ready: ready.engines[0].name == "a/child")
    peer.send("a/child", counting("Add", 3))
    assert state(worker, "a/child") == {"total": 3}
    worker.say(wire.End(("a/child",)))
    assert [stats["engine"] for stats in worker.ask("stats", number=3)] == ["a"]
    peer.send("a/child", counting("Add", 3), next_n=2)
    (letter,) = worker.letters(1)
    assert (letter.reason, letter.target) == ("ended", "a/child")


def test_children_that_the_node_places_do_not_run_here(bench: Bench) -> None:
    """False if a child ran in two processes, or in none."""
    peer = bench.peer(2)
    worker = bench.worker(EngineSpec("a", COUNTER), spawned="process")
    peer.send("a", counting("Breed"))
    spawn = worker.hear(wire.Spawn)
    assert (spawn.birth.spec.name, spawn.birth.spec.family, spawn.placed_here) == ("a/child", COUNTER, False)
    assert [item["engine"] for item in worker.ask("stats")] == ["a"]


def test_a_flood_of_letters_is_counted_in_full(bench: Bench) -> None:
    """False if dead letters beyond what is kept were not counted."""
    peer = bench.peer(2)
    worker = bench.worker(EngineSpec("a", COUNTER))
    peer.send("nobody", *[counting("Add")] * 5_000)
    counted = 0
    while counted < 5_000:
        packet = worker.hear(wire.Letters)
        counted += packet.counts.get("unknown", 0)
    assert counted == 5_000
    worker.ask("stats")


def test_snapshot_bytes_are_sealed(bench: Bench) -> None:
    """False if a process could change a snapshot that another one reads."""
    worker = bench.worker(EngineSpec("a", COUNTER))
    worker.say(wire.Freeze())
    worker.hear(wire.Frozen)
    snapshot = worker.descriptors[-1]
    assert read_memory_file(snapshot)
    with pytest.raises(OSError, match="not permitted"):
        os.pwrite(snapshot, b"x", 0)
