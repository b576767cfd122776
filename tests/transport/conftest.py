from __future__ import annotations

from collections.abc import Iterator

import pytest
from transport_worlds import NEEDS_NATIVE, WORLDS, LaneWorld, World

from transport.native import native_available, native_reason


@pytest.fixture(params=[pytest.param(name, marks=NEEDS_NATIVE if name == "lane" else ()) for name in WORLDS])
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    """Each kind of link in turn."""
    made = WORLDS[request.param]()
    yield made
    made.close()


@pytest.fixture(params=[pytest.param("lane", marks=NEEDS_NATIVE), "zmq"])
def far_world(request: pytest.FixtureRequest) -> Iterator[World]:
    """Each kind of link that joins processes."""
    made = WORLDS[request.param]()
    yield made
    made.close()


@pytest.fixture
def lanes() -> Iterator[LaneWorld]:
    """Slots in shared memory."""
    if not native_available():
        pytest.skip(f"no native lanes: {native_reason()}")
    made = LaneWorld()
    yield made
    made.close()
