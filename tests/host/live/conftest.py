from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from live_nodes import World, new_world
from worker_harness import Bench


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Function]) -> None:
    """What is tried over lanes is tried over ZeroMQ too, in the storms."""
    here = Path(__file__).parent
    for item in items:
        variant = getattr(getattr(item, "callspec", None), "id", "")
        if here in item.path.parents and "zmq" in variant.split("-"):
            item.add_marker(pytest.mark.storm)


@pytest.fixture
def world() -> Iterator[World]:
    """As `new_world`, for one test."""
    with new_world() as made:
        yield made


@pytest.fixture
def bench() -> Iterator[Bench]:
    """A slot with a worker whose supervisor and peers the test plays."""
    made = Bench()
    yield made
    made.close()
