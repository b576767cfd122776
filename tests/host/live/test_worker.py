"""A worker in a process of its own, between a supervisor and peers that the test plays."""

from __future__ import annotations

import os
import signal
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from live_nodes import until
from worker_harness import (
    ASKER,
    COUNTER,
    DEADLINE_S,
    Bench,
    asking,
    counting,
    encode_total,
    state,
)

from host.config.spec import EngineSpec, MailboxSpec
from host.live import wire
from host.node.news import Letter, Trigger
from host.node.progress import HANDLED
from transport.native import native_available
from transport.port import KIND_GO, KIND_STOP

pytestmark = pytest.mark.skipif(not native_available(), reason="the harness plays peers through lanes")


def test_it_says_who_it_is_and_what_it_runs(bench: Bench) -> None:
    """False if the supervisor could not watch it, or not know when an engine is ready."""
    worker = bench.worker(EngineSpec("a", COUNTER), EngineSpec("b", COUNTER))
    hello = worker.hear(wire.Hello)
    assert hello.pid == worker.pid
    signal.pidfd_send_signal(worker.descriptors[0], 0)
    ((running, names),) = worker.hear(wire.Ready).engines
    assert (running.family, names) == (COUNTER, ("a", "b"))
    assert running.version != ""
    assert {"Add", "Ask"} <= set(running.interface["boxes"][0]["accepts"])


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
    failed = worker.hear(wire.EngineFailed)
    assert (failed.engine, failed.reason) == ("x", reason)
    assert where in failed.detail
    ((_, names),) = worker.hear(wire.Ready).engines
    assert names == ("good",)


def test_a_family_that_raises_in_its_module_names_file_and_line(bench: Bench, tmp_path: Path) -> None:
    """False if a mistake in a user's module had to be searched for."""
    (tmp_path / "raising.py").write_text("ok = 1\n\nraise ValueError('as written')\n")
    worker = bench.worker(EngineSpec("x", "raising:X"), roots=(str(tmp_path),))
    failed = worker.hear(wire.EngineFailed)
    assert failed.reason == "import"
    assert f"{tmp_path}/raising.py:3" in failed.detail
    assert "as written" in failed.detail


def test_kill_in_a_transition_costs_that_message_and_no_other() -> None:
    """False if a kill lost mail that had not run, ran the poison again, or the page named another message.

    Where the machine takes the processor away within the batch, the time of its cycle is over before the kill, and what
    was not run is lost with the process; the letter then comes without the message. That is tried again.
    """
    for _ in range(10):
        with closing(Bench()) as bench:
            letter, found = killed_in_a_transition(bench)
        assert (letter.reason, letter.sender, letter.target) == ("crashed", "test", "a")
        if letter.message is not None:
            break
        assert found["total"] in (0, 100)
    assert letter.message == ["Die"]
    assert found == {"total": 111}


def killed_in_a_transition(bench: Bench) -> tuple[Letter, Any]:
    """The letter of the message that killed a process, and the state of the process after it."""
    peer = bench.peer(2)
    first = bench.worker(EngineSpec("a", COUNTER))
    first.hear(wire.Ready)
    peer.send("a", counting("Add", 1), counting("Add", 10), counting("Die"), counting("Add", 100))
    assert first.ended() == -signal.SIGKILL
    in_flight = bench.reading().in_flight
    assert in_flight == Trigger("a", "test", 0, 1, 3)
    second = bench.worker(EngineSpec("a", COUNTER), fallen=((in_flight, ""),))
    (letter,) = second.letters(1)
    return letter, state(second, "a")


def test_what_was_handled_before_a_kill_is_not_handled_again(bench: Bench) -> None:
    """False if a message whose cycle was over came again to the slot's next process."""
    peer = bench.peer(2)
    first = bench.worker(EngineSpec("a", COUNTER))
    peer.send("a", counting("Add", 1))
    assert state(first, "a") == {"total": 1}
    first.ask("stats", number=3)
    assert bench.reading().words[HANDLED] == 1
    first.kill()
    assert bench.reading().in_flight is None
    second = bench.worker(EngineSpec("a", COUNTER))
    peer.send("a", counting("Add", 20), next_n=2)
    assert state(second, "a") == {"total": 20}


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
    until(lambda: len(state(worker, "q")["words"]) == 200, "all words")


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
    assert bench.reading().words[HANDLED] == 5_000


def test_a_child_is_told_before_its_mail_can_be_asked_for(bench: Bench) -> None:
    """False if another process could ask for a name that the supervisor has not heard yet."""
    peer = bench.peer(2)
    worker = bench.worker(EngineSpec("a", COUNTER))
    peer.send("a", counting("Breed"))
    (born,) = worker.hear(wire.ChildrenSpawned).children
    assert (born.birth.spec.name, born.birth.parent, born.placed_here) == ("a/child", "a", True)
    assert born.running is not None
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
    (born,) = worker.hear(wire.ChildrenSpawned).children
    assert (born.birth.spec.name, born.birth.spec.family, born.placed_here) == ("a/child", COUNTER, False)
    assert born.running is None
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
