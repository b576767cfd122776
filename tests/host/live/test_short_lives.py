"""Children in processes of their own that answer and end at once, on a machine that has other things to do."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from live_nodes import World

from host.config.spec import EngineSpec, TransportSpec

BURNERS = 4
CHILDREN = 60


@contextmanager
def busy_machine() -> Iterator[None]:
    """More programs than processors, so that what happens at once is seen late."""
    burners = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(BURNERS)]
    try:
        yield
    finally:
        for burner in burners:
            burner.kill()
            burner.wait()


@pytest.mark.storm
@pytest.mark.parametrize("local", ["auto", "zmq"])
def test_the_last_words_of_each_are_heard(world: World, local: Any) -> None:
    """False if an answer were lost where it met the end of the process that gave it: 60 lives, one after the other."""
    parent = EngineSpec("parent", "engines.benchmark.spawn:PARENT")
    spec = world.spec(parent, transport=TransportSpec(local=local), spawned="process")
    with world.up(spec) as node, busy_machine():
        fields = {"count": ["json", CHILDREN]}
        args = {"engine": "parent", "tag": "Bear", "fields": fields, "wait": "Born", "timeout_ns": 60_000_000_000}
        (born,) = node.ask("send", timeout_s=61, **args)
        assert born["count"] == CHILDREN
