"""`send --id`: however often it is sent, and whatever is killed in between, a journaled engine handles it once."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from typing import Any

import pytest
from deadline import DEADLINE_NS
from live_nodes import LiveNode, World, until

from host.config.spec import EngineSpec, SupervisionSpec, TransportSpec
from host.live.control.protocol import ControlError

FREE = SupervisionSpec(intensity=None, backoff_ns=0, budget=None)


def lasting(mode: Any) -> EngineSpec:
    return EngineSpec("a", "lasting:LASTING", durability=mode)


def add(node: LiveNode, key: str, field: str = "amount") -> None:
    fields = {field: ["json", 3]}
    node.ask("send", engine="a", tag="Add", fields=fields, id=key, timeout_ns=DEADLINE_NS)


def kill_all(world: World) -> None:
    for pid in world.processes():
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    until(lambda: not world.processes(), "the end of all processes")


@pytest.mark.storm
@pytest.mark.parametrize("local", ["auto", "zmq"])
@pytest.mark.parametrize("mode", ["crash", "durable"])
def test_an_id_counts_once_through_restarts(world: World, mode: str, local: Any) -> None:
    """False if a script that sends again what may have arrived made an engine handle it again, or not at all."""
    spec = world.spec(lasting(mode), supervision=FREE, transport=TransportSpec(local=local))
    for life in range(3):
        with world.up(spec) as node:
            for key in ("first", "second", f"of life {life}"):
                add(node, key)
                add(node, key)
            assert node.total("a") == 3 * (3 + life)
            if life < 2:
                kill_all(world)


@pytest.mark.parametrize("mode", ["volatile", "crash"])
def test_what_was_refused_may_be_sent_again_under_its_id(world: World, mode: str) -> None:
    """False if a slip of the fingers used up the id: nothing was handled."""
    with world.up(world.spec(lasting(mode))) as node:
        with pytest.raises(ControlError, match="amout"):
            add(node, "key", "amout")
        add(node, "key")
        add(node, "key")
        assert node.total("a") == 3


def test_an_id_is_that_of_a_message_to_one_engine(world: World) -> None:
    """False if the same id, used for another engine, kept its message back without a word."""
    engines = (lasting("crash"), EngineSpec("b", "lasting:LASTING"))
    with world.up(world.spec(*engines)) as node:
        for engine in ("a", "b", "a", "b"):
            args = {"engine": engine, "tag": "Add", "fields": {"amount": ["json", 3]}, "id": "same"}
            node.ask("send", timeout_ns=DEADLINE_NS, **args)
        assert (node.total("a"), node.total("b")) == (3, 3)
