"""Fixtures: a node of one of `configs`, every engine in its own process, or all in one; and simulated, by two seeds."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import cast

import pytest
from live_node import CONFIGS, LiveNode, Start, live_node
from simulated_node import SimulatedNode


@pytest.fixture(params=["process", pytest.param("one", marks=pytest.mark.storm), "simulated-1", "simulated-2"])
def placement(request: pytest.FixtureRequest) -> str:
    """The default placement of the node."""
    chosen: str = request.param
    return chosen


@pytest.fixture
def start(placement: str) -> Iterator[Start]:
    """Starts the node of a file by its name; it is as distributed as the placement says."""
    with ExitStack() as nodes:

        def started(name: str) -> LiveNode:
            kind, _, seed = placement.partition("-")
            if kind == "simulated":
                return cast(LiveNode, SimulatedNode(CONFIGS / f"{name}.yaml", int(seed)))
            node = nodes.enter_context(live_node(CONFIGS / f"{name}.yaml", placement))
            engines = node.engines()
            pids = {engine["pid"] for engine in engines.values()}
            assert len(pids) == (1 if placement == "one" else len(engines))
            return node

        yield started
