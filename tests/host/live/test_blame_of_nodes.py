"""Whatever an author's code raises, and wherever: only its transition fails, or its device, for a known reason."""

from __future__ import annotations

import os
import signal
from typing import Any

import pytest
from live_nodes import LiveNode, World, until

from host.config.spec import ChildSpec, EngineSpec, Placement, SupervisionSpec
from host.live.control.client import Client
from host.live.control.protocol import ControlError

FREE = SupervisionSpec(intensity=None, backoff_ns=0, budget=None)
GROUP = Placement("group", group="g")
SECOND = 1_000_000_000
WAYS = {
    "plain": "OSError: ordinary",
    "name": "cannot read caf\\udce9.txt",
    "str": "Speechless",
    "class": "Unnamed",
    "exit": "SystemExit: the reason, in words",
    "interrupt": "KeyboardInterrupt",
    "base": "BaseException: the base of all",
    "cancelled": "CancelledError",
    "answer": "AnswerError: an answer nobody gave",
}
"""What is raised, and what is said of it."""


def post(node: LiveNode, engine: str, tag: str, **fields: Any) -> str:
    """Send; the error of the answer, "" for none."""
    with Client(node.client.path) as client:
        args = {"engine": engine, "tag": tag, "timeout_ns": 10 * SECOND}
        args["fields"] = {name: ["json", value] for name, value in fields.items()}
        try:
            client.request("send", args)
        except ControlError as error:
            return error.error
    return ""


def total(node: LiveNode, engine: str) -> int:
    found: int = node.ask("state", engine=engine)[0]["state"]["total"]
    return found


def quarantined(node: LiveNode) -> str:
    """The traceback of the newest entry."""
    newest = node.ask("quarantine", do="ls", engine="")[-1]
    detail: str = node.ask("quarantine", do="show", id=newest["id"])[0]["detail"]
    return detail


@pytest.mark.parametrize("durability", [pytest.param("volatile", marks=pytest.mark.storm), "crash"])
def test_whatever_a_rule_raises_is_a_failed_transition(world: World, durability: Any) -> None:
    """False if it ended the process, cost a neighbour its state, or was reported without its text."""
    engines = [EngineSpec(name, "blaming:BLAMED", placement=GROUP, durability=durability) for name in ("a", "b")]
    with world.up(world.spec(*engines, supervision=FREE)) as node:
        for count, (how, text) in enumerate(WAYS.items(), 1):
            assert post(node, "b", "Add") == ""
            assert post(node, "a", "Fail", how=how) == "failed", how
            if durability == "volatile":
                assert text in node.ask("dead_letters", limit=1)[-1]["detail"]
            else:
                assert text in quarantined(node)
            assert (total(node, "a"), total(node, "b")) == (0, count)
        assert node.events("crashed") == []


def test_a_message_whose_own_check_raises_fails_alone(world: World) -> None:
    """False if `__post_init__` could end the process, or what came behind it in the batch were lost."""
    with world.up(world.spec(EngineSpec("a", "blaming:BLAMED"), supervision=FREE)) as node:
        for text in ("bad", "leave"):
            post(node, "a", "Picky", text=text)
        assert post(node, "a", "Picky", text="good") == ""
        assert total(node, "a") == 1
        assert node.events("crashed") == []


@pytest.mark.storm
def test_a_device_whose_driver_raises_begins_again(world: World) -> None:
    """False if it were gone in silence, or its end had another reason than its own."""
    ways = {how: f"d-{how}" for how in (*WAYS, "task")}
    devices = [EngineSpec(name, "blaming:DEVICE", child=ChildSpec(restart="transient")) for name in ways.values()]
    with world.up(world.spec(*devices, supervision=FREE)) as node:
        for how, name in ways.items():
            post(node, name, "Fail", how=how)
            crashed = until(lambda name=name: node.events("crashed", name), "its end")[-1]
            assert (crashed["reason"], crashed["detail"]) == ("exception", ""), how
            failed = [event for event in node.events("failed", name) if event["reason"] == "driver"]
            assert WAYS.get(how, "SystemExit") in failed[-1]["detail"], how
            until(lambda name=name: node.events("restarted", name), "its restart")


@pytest.mark.storm
def test_an_exit_in_a_callback_of_a_driver_is_no_orderly_end(world: World) -> None:
    """False if a device that is restarted unless it ended normally were gone."""
    with world.up(
        world.spec(EngineSpec("d", "blaming:DEVICE", child=ChildSpec(restart="transient")), supervision=FREE)
    ) as node:
        post(node, "d", "Fail", how="callback")
        assert until(lambda: node.events("crashed", "d"), "its end")[-1]["reason"] == "exception"
        until(lambda: node.events("restarted", "d"), "its restart")


def test_a_driver_that_raises_leaves_its_neighbours_alone(world: World) -> None:
    """False if one device of a process ended another."""
    engines = [EngineSpec(name, "blaming:DEVICE", placement=GROUP) for name in ("d", "e")]
    with world.up(world.spec(*engines, supervision=FREE)) as node:
        pid = node.ps()["e"]["pid"]
        post(node, "d", "Fail", how="name")
        until(lambda: node.events("failed", "d"), "its failure")
        assert node.ps()["e"]["pid"] == pid
        assert node.events("crashed") == []


@pytest.mark.storm
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_no_fault_of_the_rule_it_meets(world: World, number: int) -> None:
    """False if a process that somebody wants to end went on, because a rule was running."""
    with world.up(world.spec(EngineSpec("a", "blaming:BLAMED"), supervision=FREE)) as node:
        pid = node.ps()["a"]["pid"]
        post(node, "a", "Hang")
        until(lambda: node.states()["a"] == "busy", "the rule")
        os.kill(pid, number)
        crashed = until(lambda: node.events("crashed", "a"), "its end")[-1]
        assert crashed["reason"] == "signal"
        assert crashed["pid"] == pid
