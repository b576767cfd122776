"""Probation on live nodes: a version that fails after the cut is replaced by the one before, by the node itself."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from typing import Any

import pytest
from deadline import DEADLINE_NS
from live_nodes import LiveNode, World, counter, until

from host.config.spec import ChildSpec, SupervisionSpec
from host.live.control.protocol import ControlError

pytestmark = pytest.mark.storm

ADDS = "    return [Become(Count(t.env.state.total + add.amount))]"
STATE = "    total: int = 0"
EMITS = "    emits=Total,"
QUICK = SupervisionSpec(intensity=100, backoff_ns=10_000_000, backoff_max_ns=10_000_000, hard_ns=1_000_000_000)

FAULTS = {
    "raises": ("raise ValueError('seven')", "ValueError: seven", 0),
    "exits": ("os._exit(3)", "its process ended: exit", 7),
    "hangs": ("\n        while True: pass", "its process ended: hung", 7),
    "is slow": ("__import__('time').sleep(0.4)", "takes longer than 100 ms", 7),
    "breaks an invariant": ("return [Become(Count(-1))]", "the invariant is_positive does not hold", 0),
}
"""What new code does at a seven, what the node says of it, and what the seven is worth in the end."""


def edit(world: World, *changes: tuple[str, str]) -> None:
    source = world.roots / "counting.py"
    text = source.read_text()
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new)
    source.write_text(text)


def fails_at_seven(how: str) -> tuple[tuple[str, str], ...]:
    invariant = "def is_positive(state: Count) -> bool:\n    return state.total >= 0\n\n\nCOUNTER ="
    return (
        (ADDS, f"    if add.amount == 7:\n        {FAULTS[how][0]}\n{ADDS}"),
        ("COUNTER =", invariant),
        (EMITS, f"{EMITS}\n    invariants=[is_positive],"),
    )


def reload(node: LiveNode, **args: Any) -> Any:
    return node.ask("reload", engine="a", timeout_ns=DEADLINE_NS, **{"probation_triggers": 1000, **args})[0]


def add(node: LiveNode, *amounts: int) -> None:
    for amount in amounts:
        node.send("a", "Add", amount=amount)


def kept_code(world: World) -> list[str]:
    """What is kept of versions without a log."""
    return sorted(path.name for path in world.folder.glob("*/code/*/*"))


CASES = [
    ("raises", "crash", True),
    ("raises", "volatile", False),
    ("exits", "crash", True),
    ("exits", "volatile", False),
    ("hangs", "crash", False),
    ("is slow", "volatile", True),
    ("breaks an invariant", "durable", False),
]
"""The fault, the durability, and whether the state has a field more, and a way back."""


@pytest.mark.parametrize(("how", "mode", "grows"), CASES)
def test_a_fault_brings_the_version_before_back(world: World, how: str, mode: Any, grows: bool) -> None:
    """False if new code that fails stayed in force, or a message were lost or counted twice on the way back."""
    _, reason, worth = FAULTS[how]
    with world.up(world.spec(counter("a", durability=mode), supervision=QUICK)) as node:
        add(node, 1, 2)
        version = node.ps()["a"]["version"]
        edit(world, *fails_at_seven(how))
        if grows:
            downgrade = f"{EMITS}\n    downgrade=lambda now: {{'total': now.total}},"
            edit(world, (STATE, f"{STATE}\n    more: int = 3"), (EMITS, downgrade))
        item = reload(node, transition_max_ns=100_000_000 if how == "is slow" else 0)
        assert (item["probation"], item["forward_only"]) == ("1000 messages", "")
        add(node, 4)
        with suppress(ControlError):  # it becomes a dead letter, or goes to quarantine
            add(node, 7)
        until(lambda: node.events("went_back", "a"), "the version before is back")
        (event,) = node.events("went_back", "a")
        assert reason in event["reason"]
        until(lambda: node.states()["a"] == "running", "it runs")
        assert node.ps()["a"]["version"] == version
        add(node, 10)
        is_lost = mode == "volatile" and how in ("exits", "hangs")
        assert node.total("a") == (10 if is_lost else 17 + worth)
        if mode == "volatile":
            assert kept_code(world) == [f"{version}.code"]
        assert reload(node, rehearse=0)["to"] != event["to"]


def test_a_version_whose_code_cannot_be_kept_has_no_way_back(world: World) -> None:
    """False if a reload promised a way back that there is not."""
    with world.up(world.spec(counter("a"), supervision=QUICK)) as node:
        (world.folder / "test" / "code").write_text("in the way of the folder")
        edit(world, *fails_at_seven("raises"))
        assert reload(node)["forward_only"] == "its code could not be kept"
        with pytest.raises(ControlError, match="seven"):
            add(node, 7)
        until(lambda: node.events("probation_failed", "a"), "the fault")
        assert node.events("went_back", "a") == []


@pytest.mark.storm
def test_the_way_back_does_not_go_by_what_was_saved_meanwhile(world: World) -> None:
    """False if the state that goes back were made by a third version, which nobody asked for, or could not be made."""
    with world.up(world.spec(counter("a", durability="crash"), supervision=QUICK)) as node:
        add(node, 1, 2)
        version = node.ps()["a"]["version"]
        edit(world, *fails_at_seven("exits"))
        reload(node)
        add(node, 4)
        edit(world, (ADDS, "    raise ValueError('of a third version')"))
        with suppress(ControlError):
            add(node, 7)
        until(lambda: node.events("went_back", "a"), "the version before is back")
        until(lambda: node.states()["a"] == "running", "it runs")
        assert node.ps()["a"]["version"] == version
        assert node.total("a") == 14


def test_a_way_back_whose_process_is_killed_is_tried_again(world: World) -> None:
    """False if the death of the process that goes back left the version that fails in force."""
    gate = world.folder / "gate"
    waits = f"import os, time\nwhile os.path.exists({str(gate)!r}):\n    time.sleep(0.01)\n\nVERSION = 1"
    edit(world, ("VERSION = 1", waits))
    with world.up(world.spec(counter("a", durability="crash"), supervision=QUICK)) as node:
        add(node, 1)
        version = node.ps()["a"]["version"]
        edit(world, (waits, "VERSION = 1"), *fails_at_seven("exits"))
        reload(node)
        until(lambda: len(world.titled("enginehost: test/1 a")) == 1, "the end of the process before")
        gate.touch()
        add(node, 7)
        until(lambda: node.events("restarted", "a"), "a process that is held")
        held = node.ps()["a"]["pid"]
        (back,) = until(lambda: {*world.titled("enginehost: test/1 a")} - {held}, "the process that goes back")
        os.kill(back, signal.SIGKILL)
        until(lambda: node.events("reload_refused", "a"), "its end")
        gate.unlink()
        until(lambda: node.events("went_back", "a"), "the version before is back")
        assert (node.ps()["a"]["version"], node.total("a"), node.ask("quarantine", do="ls")) == (version, 8, [])


def test_a_version_without_a_way_back_stays_and_is_reported(world: World) -> None:
    """False if a version were taken back although what it knows has no place in the one before."""
    with world.up(world.spec(counter("a", durability="crash"), supervision=QUICK)) as node:
        edit(world, *fails_at_seven("raises"), (STATE, f"{STATE}\n    more: int = 3"))
        item = reload(node)
        assert "the family has no downgrade" in item["forward_only"]
        with pytest.raises(ControlError, match="quarantined"):
            add(node, 7)
        until(lambda: node.events("probation_failed", "a"), "the alarm")
        (event,) = node.events("probation_failed", "a")
        assert ("seven" in event["reason"], "no downgrade" in event["stays"]) == (True, True)
        assert item["to"].endswith(node.ps()["a"]["version"])


def test_a_third_version_waits_until_the_probation_has_passed(world: World) -> None:
    """False if three versions of an engine could live, or a probation never ended."""
    with world.up(world.spec(counter("a"), supervision=QUICK)) as node:
        edit(world, (ADDS, f"    # again\n{ADDS}"))
        reload(node, probation_triggers=3)
        add(node, 1)
        with pytest.raises(ControlError, match=r"on probation for 2 messages more.*a third one has to wait"):
            reload(node)
        add(node, 1, 1)
        until(lambda: node.events("probation_passed", "a"), "it passed")
        edit(world, (ADDS, f"    # and again\n{ADDS}"))
        reload(node, probation_triggers=0, probation_ns=50_000_000)
        until(lambda: len(node.events("probation_passed", "a")) == 2, "its time passed")
        assert node.total("a") == 3
        assert not node.events("went_back", "a")
        assert kept_code(world) == []


def test_code_that_was_kept_for_a_probation_goes_with_the_life(world: World) -> None:
    """False if a killed node left the code of its probations in the data folder for ever."""
    spec = world.spec(counter("a"), supervision=QUICK)
    with world.up(spec) as node:
        edit(world, (ADDS, f"    # again\n{ADDS}"))
        reload(node)
        assert len(kept_code(world)) == 1
        os.kill(node.pid, signal.SIGKILL)
        node.launch.process.wait(30)
        until(lambda: not world.processes(), "the end of all")
    with world.up(spec):
        assert kept_code(world) == []


def test_the_same_code_has_no_version_before(world: World) -> None:
    """False if a node went back to the version that it runs, or kept the code of one for that."""
    with world.up(world.spec(counter("a"), supervision=QUICK)) as node:
        item = reload(node)
        assert (item["probation"], item["is_other_code"]) == ("", False)
        assert (node.events("probation"), kept_code(world)) == ([], [])


def test_a_transient_engine_that_exits_normally_is_not_at_fault(world: World) -> None:
    """False if an end that asks for no restart brought the version before back, or left the probation for ever."""
    with world.up(world.spec(counter("a", child=ChildSpec(restart="transient")), supervision=QUICK)) as node:
        edit(world, (ADDS, f"    if add.amount == 7:\n        os._exit(0)\n{ADDS}"))
        item = reload(node)
        with suppress(ControlError):
            add(node, 7)
        until(lambda: node.states()["a"] == "finished", "its end")
        node.ask("restart", engine="a")
        until(lambda: node.states()["a"] == "running", "it runs")
        assert item["to"].endswith(node.ps()["a"]["version"])
        assert (node.events("went_back"), node.events("probation_failed")) == ([], [])
        assert reload(node)["engine"] == "a"


def test_a_request_for_a_probation_says_what_there_will_be(world: World) -> None:
    """False if a dry run announced a probation, or a bound that holds only on probation were dropped silently."""
    with world.up(world.spec(counter("a"), supervision=QUICK)) as node:
        assert reload(node, is_trial=True)["probation"] == ""
        with pytest.raises(ControlError, match="on probation"):
            reload(node, probation_triggers=None, transition_max_ns=1_000_000)
        assert reload(node, probation_triggers=None, transition_max_ns=0)["probation"] == ""
