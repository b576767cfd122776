"""States that are no function of their triggers: a recovery and a replay notice."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from typing import Any

import pytest
from live_nodes import LiveNode, World, until

from host.config.spec import EngineSpec, SupervisionSpec
from host.live.control.protocol import ControlError
from host.live.journal.child import run_in_child
from host.live.journal.data_folder import find_logs
from host.live.journal.replays import states

FAMILY = """
import random, time
from engines.model import Arrived, Effects, Family, Message, Value, rule

class Do(Message):
    how: str

class Mark(Value):
    mark: str = ""
    count: int = 0

@rule
def do(m: Do, t: Arrived[Do, None, Mark]) -> Effects[Mark, None]:
    marks = {"clock": time.time_ns, "chance": random.random, "pure": lambda: ""}
    return Mark(f"{t.env.state.mark[-50:]} {marks[m.how]()}", t.env.state.count + 1)

DOER = Family("doer", accepts=Do, state=Mark()).rules(do)
"""
FREE = SupervisionSpec(intensity=None, backoff_ns=0, budget=None)


def node_spec(world: World, mode: str) -> Any:
    (world.roots / "doer.py").write_text(FAMILY)
    return world.spec(*(EngineSpec(name, "doer:DOER", durability=mode) for name in ("e", "f")), supervision=FREE)  # type: ignore[arg-type]


def verify(world: World, engine: str) -> list[Any]:
    """What `replay --verify` does."""
    logs = find_logs(str(world.folder / "test"))
    path, node = logs.folders[engine], logs.node
    return run_in_child(lambda: states(path, node.node, node.roots, engine, None, verify=True))


def refusal(world: World, engine: str) -> str:
    """Why `replay --verify` fails; "" as long as it does not."""
    try:
        verify(world, engine)
    except ControlError as error:
        assert error.error == "violated"  # noqa: PT017
        return str(error)
    return ""


def kill(node: LiveNode, restarts: int) -> None:
    os.kill(node.ps()["e"]["pid"], signal.SIGKILL)
    until(lambda: (item := node.ps()["e"])["restarts"] == restarts and item["state"] == "running", "the restart")


@pytest.mark.parametrize("mode", ["crash", "durable"])
@pytest.mark.parametrize("how", ["clock", "chance"])
def test_a_state_that_is_no_function_of_its_triggers_is_noticed(world: World, mode: str, how: str) -> None:
    """False if a replay said yes, or a recovery nothing, to a clock or to chance in a state; or if the next
    recovery came to yet another state."""
    with world.up(node_spec(world, mode)) as node:
        node.send("e", "Do", how="pure")
        node.send("e", "Do", how=how)
        node.send("f", "Do", how="pure")
        before = node.ask("state", engine="e")[0]["state"]
        until(lambda: refusal(world, "e").startswith("diverged: e, turn 2: recorded state"), "a replay that says no")
        assert verify(world, "f")[0]["turn"] == 1
        node.send("e", "Do", how=how)
        kill(node, 1)
        after = node.ask("state", engine="e")[0]["state"]
        assert after["count"] == before["count"] + 1
        (event,) = node.events("diverged")
        assert event["engine"] == "e"
        assert event["turn"] in (2, 3)  # the last may have been killed before its digest
        assert node.ps()["e"]["fault"].startswith(f"diverged: turn {event['turn']}: recorded state")
        assert node.ps()["f"]["fault"] == ""
        kill(node, 2)
        assert node.ask("state", engine="e")[0]["state"] == after
        assert len(node.events("diverged")) == 1
        assert node.ps()["e"]["fault"] == ""


def test_an_ordered_stop_leaves_a_digest(world: World) -> None:
    """False if a busy engine that was stopped in peace had turns that no digest covers."""
    with world.up(node_spec(world, "crash")) as node:
        for _ in range(20):
            node.send("e", "Do", how="pure")
        node.send("e", "Do", how="clock")
        node.end()
    with world.up(node_spec(world, "crash")) as node:
        found = until(lambda: node.events("diverged"), "the event of the recovery")
        assert [(event["engine"], event["turn"]) for event in found] == [("e", 21)]
        for pid in world.processes():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        until(lambda: not world.processes(), "the end of all processes")
