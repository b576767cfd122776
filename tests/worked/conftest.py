"""Fixtures: a node of one of `configs`, every engine in its own process, or all in one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from live_node import CONFIGS, LiveNode, Start, live_node


@pytest.fixture(params=["process", "one"])
def placement(request: pytest.FixtureRequest) -> str:
    """The default placement of the node."""
    chosen: str = request.param
    return chosen


@pytest.fixture
def start(placement: str) -> Iterator[Start]:
    """Starts the node of a file by its name; it is as distributed as the placement says."""
    with ExitStack() as nodes:

        def started(name: str) -> LiveNode:
            node = nodes.enter_context(live_node(CONFIGS / f"{name}.yaml", placement))
            engines = node.engines()
            pids = {engine["pid"] for engine in engines.values()}
            assert len(pids) == (1 if placement == "one" else len(engines))
            return node

        yield started
