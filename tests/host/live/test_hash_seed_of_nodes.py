"""Engines with a journal that depend on the order of a set: each life of a node has the hash seed of the first."""

from __future__ import annotations

import os
import signal
from contextlib import suppress

import pytest
from live_nodes import World, until

from host.config.spec import EngineSpec

FAMILY = """
from engines.model import Arrived, Effects, Family, Message, Value, rule

class Words(Message):
    words: tuple[str, ...]

class Order(Value):
    words: tuple[str, ...] = ()

@rule
def keep(m: Words, t: Arrived[Words, None, Order]) -> Effects[Order, None]:
    return Order(tuple(set(m.words)))

KEEPER = Family("keeper", accepts=Words, state=Order()).rules(keep)
"""
WORDS = [f"word {n}" for n in range(12)]


@pytest.mark.storm
def test_the_order_of_a_set_is_the_same_in_each_life(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A recovery makes another state than the one that was acknowledged; or a changed seed goes unnoticed."""
    monkeypatch.delenv("PYTHONHASHSEED", raising=False)
    (world.roots / "keeper.py").write_text(FAMILY)
    spec = world.spec(EngineSpec("k", "keeper:KEEPER", durability="crash"))
    with world.up(spec) as node:
        node.send("k", "Words", words=WORDS)
        first = node.ask("state", engine="k")[0]["state"]["words"]
        assert sorted(first) == sorted(WORDS)
        for pid in world.processes():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        until(lambda: not world.processes(), "the end of all processes")
    with world.up(spec) as node:
        assert node.ask("state", engine="k")[0]["state"]["words"] == first
        node.end()
    monkeypatch.setenv("PYTHONHASHSEED", "5")
    with pytest.raises(AssertionError, match="was written under PYTHONHASHSEED=0, and this is 5"), world.up(spec):
        pass
