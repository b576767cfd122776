from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from live_nodes import World, new_world
from worker_harness import Bench

DURABLE = ("test_snapshots.py", "test_power_loss.py")
"""Whose tests run by default with either durability."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Function]) -> None:
    """Storms try over ZeroMQ what is tried over lanes, and with `durable` what is tried with `crash`."""
    here = f"{Path(__file__).parent}{os.sep}"
    items = [item for item in items if str(item.path).startswith(here)]
    names = {(item.path, item.name) for item in items}
    for item in items:
        variant = getattr(getattr(item, "callspec", None), "id", "").split("-")
        is_second = "durable" in variant and (item.path, item.name.replace("durable", "crash")) in names
        if "zmq" in variant or (is_second and item.path.name not in DURABLE):
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
