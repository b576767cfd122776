from __future__ import annotations

from collections.abc import Iterator

import pytest
from live_nodes import World, new_world
from worker_harness import Bench


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
