from __future__ import annotations

import json
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psutil
import pytest
from deadline import DEADLINE_NS, DEADLINE_S
from live_nodes import LiveNode, World, counter, new_world, until

from host.config.spec import EngineSpec, Placement, SupervisionSpec
from host.live.control.client import Client
from host.live.control.launch import Launch
from host.live.control.protocol import EXIT_CODES, ControlError
from host.live.supervisor.service import DRAIN_NS

QUICK_S = 0.5
"""`ps` waits 40 ms for a worker; the rest is for a machine that does other things too."""

FAIL_STARTS = 10
"""A start that fails takes as long as two good ones."""

SHARED = {name: Placement("group", group=name) for name in ("group", "shot", "asked")}

ALONE = ("killed", "spared", "poisoned", "raising", "misused", "followed", "ended", "once")

ENGINES = (
    *(counter(f"one{n}", placement=Placement("one")) for n in range(5)),
    *(counter(f"group{n}", placement=SHARED["group"]) for n in range(5)),
    *map(counter, ALONE),
    *(counter(name, placement=SHARED["shot"]) for name in ("shot", "beside")),
    EngineSpec("asker", "asking:ASKER", placement=SHARED["asked"]),
    counter("neighbour", placement=SHARED["asked"]),
    EngineSpec("two", "answering:TWO"),
)
"""Those of `node`: each belongs to one test."""


@pytest.fixture(scope="module")
def node() -> Iterator[LiveNode]:
    """A node of `ENGINES`, for tests that look at their own engines only."""
    with (
        new_world() as world,
        world.up(world.spec(*ENGINES, supervision=SupervisionSpec(intensity=None, backoff_ns=0, budget=None))) as made,
    ):
        yield made


def test_a_node_starts_works_and_leaves_nothing(world: World) -> None:
    """A process, a shared-memory name or a socket file survives the node."""
    with world.up(world.spec(counter("a"), counter("b"))) as node:
        until(lambda: node.states() == {"a": "running", "b": "running"}, "both running")
        node.send("a", "Add", amount=3)
        node.send("a", "Add")
        assert (node.total("a"), node.total("b")) == (4, 0)
        assert len({item["pid"] for item in node.ps().values()}) == 2
        assert node.end() == 0
    assert world.left() == []


def test_the_system_shows_which_process_is_whose(world: World) -> None:
    """An operator who looks with `ps` or `top` sees a row of equal names, and kills the wrong one."""
    with world.up(world.spec(counter("a"), counter("a.1"), node="n")) as node:
        seen = {pid: world.shown(pid) for pid in world.processes()}
        slots = {item["pid"]: f"enginehost: n/{item['slot']} {name}" for name, item in node.ps().items()}
        assert {pid: title for pid, (title, _) in seen.items() if pid in slots} == slots
        assert {short for pid, (_, short) in seen.items() if pid in slots} == {"a", "a.1"}
        assert seen.pop(node.pid) == ("enginehost: n", "enginehost")
        assert ("enginehost: zygote", "zygote") in seen.values()


@pytest.mark.parametrize("kind", ["one", "group"])
def test_engines_that_share_a_slot_share_a_process(node: LiveNode, kind: str) -> None:
    """A placement is ignored, or changes what engines do."""
    for n in range(5):
        node.send(f"{kind}{n}", "Add", amount=n)
    assert [node.total(f"{kind}{n}") for n in range(5)] == [0, 1, 2, 3, 4]
    assert len({node.ps()[f"{kind}{n}"]["pid"] for n in range(5)}) == 1


def test_a_killed_worker_is_restarted_and_said_so(node: LiveNode) -> None:
    """A crash takes the node down, is not noticed, or is not told."""
    node.send("killed", "Add", amount=7)
    node.send("spared", "Add", amount=7)
    before = node.ps()["killed"]["pid"]
    os.kill(before, signal.SIGKILL)
    (restarted,) = until(lambda: node.events("restarted", "killed"), "the restart")
    (crashed,) = node.events("crashed", "killed")
    assert (crashed["signal"], crashed["pid"]) == ("SIGKILL", before)
    assert restarted["pid"] == node.ps()["killed"]["pid"] != before
    assert (node.total("killed"), node.total("spared")) == (0, 7)
    assert [node.ps()[name]["restarts"] for name in ("killed", "spared")] == [1, 0]


def test_kill_ends_the_process_of_an_engine_as_a_crash_would(node: LiveNode) -> None:
    """False if the engine lived on, a neighbour died with it, or `kill` returned before it had taken effect."""
    both = ("shot", "beside")
    before = {name: item["pid"] for name, item in node.ps().items()}
    assert node.ask("kill", engine="shot") == [{"engine": "shot", "pid": before["shot"], "shared_with": ["beside"]}]
    assert not psutil.pid_exists(before["shot"])
    until(lambda: [node.states()[name] for name in both] == ["running", "running"], "the restart")
    assert [event["signal"] for event in node.events("crashed", "shot")] == ["SIGKILL"]
    after = node.ps()
    assert after["spared"]["pid"] == before["spared"]
    assert after["beside"]["pid"] == after["shot"]["pid"] != before["shot"]


def test_an_answer_of_another_type_is_said_at_once(node: LiveNode) -> None:
    """False if `send --wait` waited out its time for an answer though another one was there."""
    assert node.send("two", "Ask", "Result", right=True) == {"type": "Result", "value": 7}
    assert node.send("two", "Ask", "Result|Wrong", right=False) == {"type": "Wrong", "why": "as asked"}
    with pytest.raises(ControlError) as caught:
        node.send("two", "Ask", "Result", right=False)
    assert (caught.value.error, caught.value.message) == ("failed", "two answered Wrong, not Result")
    assert caught.value.items == [{"answer": {"type": "Wrong", "why": "as asked"}}]
    with pytest.raises(ControlError) as refused:
        node.send("two", "Ask", "Resutl", right=True)
    assert refused.value.message == "two: no Resutl can come back: Ask.reply takes Result or Wrong"


def letters(node: LiveNode, engine: str) -> list[Any]:
    """The dead letters that were sent to an engine."""
    return [letter for letter in node.ask("dead_letters", limit=100) if letter["target"] == engine]


def test_the_message_that_killed_is_a_dead_letter_and_its_sender_hears_of_it(node: LiveNode) -> None:
    """A poison message kills again and again, or vanishes."""
    with pytest.raises(ControlError, match="crashed"):
        node.send("poisoned", "Die", wait="Total")
    assert [letter["reason"] for letter in letters(node, "poisoned")] == ["crashed"]
    assert node.total("poisoned") == 0
    assert len(node.events("crashed", "poisoned")) == 1


def test_a_message_whose_engine_stood_at_a_choice_in_a_crash_is_a_dead_letter(node: LiveNode) -> None:
    """A question dies with its process, and neither an operator nor the sender learns of it."""
    with Client(node.client.path) as other, ThreadPoolExecutor(1) as pool:
        args = {"engine": "asker", "tag": "Question", "fields": {}, "wait": "*", "timeout_ns": 10_000_000_000}
        sent = pool.submit(other.request, "send", args, timeout_ns=DEADLINE_NS)
        until(lambda: node.states()["asker"] == "suspended", "the question")
        os.kill(node.ps()["asker"]["pid"], signal.SIGKILL)
        with pytest.raises(ControlError, match=r"crashed \(waited for yes, no\)"):
            sent.result(10)
        until(lambda: [node.states()[name] for name in ("asker", "neighbour")] == ["running"] * 2, "the restart")
    (letter,) = letters(node, "asker")
    assert (letter["reason"], letter["mailbox"], letter["message"]) == ("crashed", 0, {"type": "Question"})
    counted = {item["reason"]: item["count"] for item in node.ask("dead_letters", counts=True)}
    assert counted["crashed"] >= 1


def test_an_action_that_raises_is_undone_and_reported(node: LiveNode) -> None:
    """An exception in an action kills the engine, or nobody learns of it."""
    node.send("raising", "Add")
    with pytest.raises(ControlError, match="RuntimeError: as asked"):
        node.send("raising", "Raise", wait="Total")
    assert node.total("raising") == 1
    (letter,) = letters(node, "raising")
    assert letter["reason"] == "failed"
    assert "RuntimeError: as asked" in letter["detail"]


def test_bad_messages_are_refused_with_the_reason(node: LiveNode) -> None:
    """A message that nobody can take vanishes in silence."""
    cases: list[tuple[str, str, dict[str, Any], str]] = [
        ("misused", "Nope", {}, "not_found"),
        ("misused", "Add", {"amount": "x"}, "refused"),
        ("misused", "Add", {"amuont": 1}, "refused"),
        ("mused", "Add", {}, "not_found"),
    ]
    for engine, tag, fields, error in cases:
        with pytest.raises(ControlError) as caught:
            node.send(engine, tag, **fields)
        assert caught.value.error == error


def test_death_of_the_supervisor_is_death_of_all_and_the_next_start_works(world: World) -> None:
    """Workers outlive their supervisor, or what it left blocks its successor."""
    spec = world.spec(counter("a"), counter("b"))
    with world.up(spec) as node:
        until(lambda: len(world.processes()) == 5, "two workers, template, zygote and supervisor, and nobody else")
        os.kill(node.pid, signal.SIGKILL)
        until(lambda: not world.processes(), "the end of all processes")
    with world.up(spec) as node:
        assert node.total("a") == 0
        node.end()
    assert world.left() == []


def test_a_family_that_does_not_import_fails_the_start_at_once(world: World) -> None:
    """A typing error costs a minute, or leaves half a node running."""
    (world.roots / "broken.py").write_text("import counting\n\nundefined\n")
    started = time.monotonic()
    with world.up(world.spec(counter("a"))):
        good_s = time.monotonic() - started
    started = time.monotonic()
    with Launch(world.spec(counter("a"), EngineSpec("b", "broken:B")), attached=False) as launch:
        responses = world.responses(launch)
        assert launch.process.wait(DEADLINE_S) != 0
    until(lambda: not world.processes(), "the end of all processes")
    assert time.monotonic() - started < FAIL_STARTS * good_s
    assert responses[-1].error == "not_ready"
    (failed,) = responses[-1].items
    assert failed["engine"] == "b"
    assert "broken.py:3: NameError" in failed["detail"]
    assert world.left() == []


@pytest.mark.storm
def test_two_nodes_side_by_side_do_not_disturb_each_other(world: World) -> None:
    """The end or the engines of one node reach the other."""
    with world.up(world.spec(counter("a"), node="one")) as one, world.up(world.spec(counter("a"), node="two")) as two:
        one.send("a", "Add", amount=1)
        two.send("a", "Add", amount=2)
        assert (one.total("a"), two.total("a")) == (1, 2)
        one.end()
        assert two.total("a") == 2
        with Launch(two.spec, attached=False) as third:
            assert [r.error for r in world.responses(third)] == ["conflict"]
            third.process.wait(DEADLINE_S)
        assert two.total("a") == 2


@pytest.mark.parametrize("packets", [0, 1, 2])
@pytest.mark.storm
def test_interrupt_at_start_leaves_nothing(world: World, packets: int) -> None:
    """An early Ctrl-C leaves workers that nobody knows. It comes after so many words of the start."""
    with Launch(world.spec(counter("a"), counter("b")), attached=True) as launch:
        progress = launch.progress(10_000_000_000)
        for _ in range(packets):
            next(progress)
        launch.process.send_signal(signal.SIGINT)
        assert launch.process.wait(DEADLINE_S) == 0
    until(lambda: not world.processes(), "the end of all processes")
    assert world.left() == []


def test_the_end_of_the_command_ends_an_attached_node(world: World) -> None:
    """Closing the terminal leaves the node behind."""
    with Launch(world.spec(counter("a")), attached=True) as launch:
        assert not world.responses(launch)[-1].error
    assert launch.process.wait(DEADLINE_S) == 0
    until(lambda: not world.processes(), "the end of all processes")


@pytest.mark.storm
def test_a_stopped_worker_holds_up_nobody(world: World) -> None:
    """One stuck process makes `ps` slow, or is shown as healthy."""
    with world.up(world.spec(counter("a"), counter("b"))) as node:
        node.ps()
        pid = node.ps()["a"]["pid"]
        os.kill(pid, signal.SIGSTOP)
        assert node.states()["a"] == "stopped"
        until(lambda: timed(node.ps) < QUICK_S, "a `ps` that waits for nobody")
        until(lambda: node.states()["b"] == "running", "the other engine")
        with pytest.raises(ControlError, match="no answer from a;"):
            node.ask("timers")
        os.kill(pid, signal.SIGCONT)
        assert node.total("a") == 0


def test_workers_outlive_the_zygote(world: World) -> None:
    """The death of the zygote ends workers, or makes restarts impossible."""
    with world.up(world.spec(counter("a"), counter("b"))) as node:
        node.send("b", "Add")
        for title in ("enginehost: zygote", "enginehost: template"):
            (pid,) = world.titled(title)
            os.kill(pid, signal.SIGKILL)
        assert node.total("b") == 1
        os.kill(node.ps()["a"]["pid"], signal.SIGKILL)
        until(lambda: node.events("restarted", "a"), "a restart without the old zygote")
        assert (node.total("a"), node.total("b")) == (0, 1)


@pytest.mark.storm
def test_programs_that_a_family_starts_end_with_their_process_and_daemons_with_the_node(world: World) -> None:
    """A restart starts a program beside the one that is there, or `down` leaves some running."""
    with world.up(world.spec(EngineSpec("a", "trailing:COUNTER"))) as node:
        pid = node.ps()["a"]["pid"]
        until(lambda: pid in world.sessions("sleep"), "the program of its family")
        os.kill(pid, signal.SIGKILL)
        until(lambda: node.events("restarted", "a"), "the restart")
        until(lambda: pid not in world.sessions("sleep"), "the end of its program")
        assert len(world.sessions("sleep")) > 1, "daemons go with the node"
        node.end()
        assert world.left() == []


def test_followers_hear_what_is_new(node: LiveNode) -> None:
    """`events -f` and `logs -f` show the past only."""
    with Client(node.client.path) as other:
        stream = other.follow("logs", {"follow": True, "limit": 0}, timeout_ns=DEADLINE_NS)
        next(stream)
        node.total("followed")
        told = next(items for items in (response.items for response in stream) if items)
    assert (told[0]["engine"], told[0]["text"], told[0]["fields"]) == ("followed", "told", {"total": 0})


@pytest.mark.parametrize("policy", ["parent", "process"])
def test_spawned_engines_live_where_the_policy_says(world: World, policy: str) -> None:
    """A child is not reachable, lives in the wrong process, or outlives the restart of its parent."""
    with world.up(world.spec(counter("a"), spawned=policy)) as node:
        node.send("a", "Breed")
        until(lambda: node.ps().get("a/child", {}).get("state") == "running", "the child")
        node.send("a/child", "Add", amount=5)
        assert node.total("a/child") == 5
        engines = node.ps()
        assert (engines["a"]["pid"] == engines["a/child"]["pid"]) == (policy == "parent")
        os.kill(engines["a"]["pid"], signal.SIGKILL)
        until(lambda: node.events("restarted", "a"), "the restart of the parent")
        until(lambda: "a/child" not in node.ps(), "the end of the child")
        node.send("a", "Breed")
        until(lambda: node.ps().get("a~2/child", {}).get("state") == "running", "the child of the second birth")


@pytest.mark.parametrize("policy", ["parent", "process"])
def test_engines_are_born_with_as_much_state_as_they_are_given(world: World, policy: str) -> None:
    """An engine that has more state than a packet holds is refused, or lives where nobody finds it."""
    given = {"content": "0x" + "ab" * 100_000}
    with world.up(world.spec(EngineSpec("a", "bulky:BULKY", state=given), spawned=policy)) as node:
        assert node.send("a", "Ask", wait="Size")["length"] == 100_000
        node.send("a", "Breed", length=300_000)
        until(lambda: node.states().get("a/child") == "running", "the child")
        assert node.send("a/child", "Ask", wait="Size")["length"] == 300_000
        assert node.events("spawn_failed") == []


def test_an_ended_engine_leaves_a_tombstone(node: LiveNode) -> None:
    """Who writes to an ended engine is not told."""
    node.send("ended", "End")
    until(lambda: node.events("ended", "ended"), "the end")
    with pytest.raises(ControlError, match="ended ended and takes no more messages") as caught:
        node.send("ended", "Add", amount=2)
    assert (caught.value.error, caught.value.items) == ("not_found", [{"reason": "ended", "target": "ended"}])
    assert EXIT_CODES[caught.value.error] == 4
    (letter,) = letters(node, "ended")
    assert (letter["reason"], letter["sender"][:4], letter["message"]) == (
        "ended",
        "cli.",
        {"type": "Add", "amount": 2},
    )
    assert "ended" not in node.ps()


@pytest.mark.storm
def test_a_peer_that_is_late_to_hear_of_an_end_loses_nothing(world: World) -> None:
    """What a stuck process sent to a child that ended meanwhile vanishes with the child's lanes."""
    relay = EngineSpec("relay", "relaying:RELAY")
    with world.up(world.spec(counter("a"), relay, spawned="process")) as node:
        node.send("a", "Breed")
        until(lambda: node.ps().get("a/child", {}).get("state") == "running", "the child")
        node.send("relay", "Pass", to="a/child")
        until(lambda: node.total("a/child") == 1, "a lane from the relay to the child")
        late, child = node.ps()["relay"]["pid"], node.ps()["a/child"]["pid"]
        os.kill(late, signal.SIGSTOP)
        node.send("a/child", "End")
        until(lambda: node.events("ended", "a/child"), "the end of the child")
        asked = {"engine": "relay", "tag": "Pass", "fields": {"to": ["json", "a/child"]}, "wait": "Total"}
        with pytest.raises(ControlError, match="no Total came back within 1 s"):
            node.ask("send", **asked, timeout_ns=1_000_000_000)
        assert child in world.processes()
        os.kill(late, signal.SIGCONT)
        letters = until(lambda: node.ask("dead_letters", limit=10), "the dead letter")
        assert [(x["reason"], x["sender"], x["target"]) for x in letters] == [("ended", "relay", "a/child")]
        until(lambda: child not in world.processes(), "the end of the child's process")


def test_a_repeated_send_to_an_engine_that_ended_meanwhile_is_the_first_one(node: LiveNode) -> None:
    """A script that repeats what may have arrived is told that it never did."""
    args: dict[str, Any] = {"engine": "once", "tag": "End", "fields": {}, "timeout_ns": 5_000_000_000, "id": "once"}
    first = node.ask("send", **args)
    until(lambda: node.events("ended", "once"), "the end")
    assert node.ask("send", **args) == first
    assert letters(node, "once") == []


@pytest.mark.storm
def test_a_second_signal_kills_what_does_not_drain(world: World) -> None:
    """A stuck engine keeps the terminal until the drain is over, or nobody can tell afterwards whose work was lost."""
    with world.up(world.spec(counter("a"))) as node:
        os.kill(node.ps()["a"]["pid"], signal.SIGSTOP)
        node.launch.process.send_signal(signal.SIGINT)
        until(lambda: _has_begun_to_stop(node.launch.process.pid), "the first signal taken")
        node.launch.process.send_signal(signal.SIGINT)
        taken = time.monotonic()
        node.launch.process.wait(DEADLINE_S)
        assert time.monotonic() - taken < DRAIN_NS / 1e9
    assert world.left() == []
    events = (world.folder / "test" / "events.jsonl").read_text().splitlines()
    assert json.loads(events[-1])["killed"] == ["a"]


@pytest.mark.parametrize("last_act", ["os._exit(3)", pytest.param("os.kill(os.getpid(), 11)", marks=pytest.mark.storm)])
def test_a_process_that_dies_in_its_start_fails_the_start(world: World, last_act: str) -> None:
    """A node whose engine dies at once is tried again and again while its user waits."""
    (world.roots / "deadly.py").write_text(f"import os\n{last_act}\n")
    with Launch(world.spec(counter("a"), EngineSpec("b", "deadly:B")), attached=False) as launch:
        responses = world.responses(launch)
        assert launch.process.wait(DEADLINE_S) != 0
    assert responses[-1].error == "not_ready"
    assert {item["engine"] for item in responses[-1].items} == {"b"}
    until(lambda: not world.processes(), "the end of all processes")
    assert world.left() == []


def timed(run: Callable[[], object]) -> float:
    """The seconds it takes."""
    began = time.monotonic()
    run()
    return time.monotonic() - began


def _has_begun_to_stop(pid: int) -> bool:
    """Whether no SIGINT is pending: a second one then is a second one."""
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        pending = [line.split()[1] for line in status if line.startswith(("SigPnd", "ShdPnd"))]
    return not any(int(mask, 16) & 2 for mask in pending)


@pytest.mark.storm
def test_a_node_whose_file_and_data_were_deleted_ends(world: World) -> None:
    """False if a node ran on that nobody can find, and whose data nobody will read; or ended when only one is gone."""
    with world.up(world.spec(counter("a"))) as node:
        os.unlink(node.spec.path)
        assert node.send("a", "Ask", wait="Total")["count"] == 0
        shutil.rmtree(world.folder / "test")
        assert node.launch.process.wait(DEADLINE_S) == 1
