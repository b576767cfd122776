from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from live_nodes import MARK, World, until
from worker_harness import Bench


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """A folder short enough for socket paths; whatever a test does, nothing of its nodes may be left."""
    with tempfile.TemporaryDirectory(prefix="eh", dir="/tmp") as name:
        folder = Path(name)
        monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder / "run"))
        monkeypatch.setenv(MARK, name)
        made = World(folder)
        yield made
        until(lambda: not made.processes(), f"end of all processes, left: {made.left()}")


@pytest.fixture
def bench() -> Iterator[Bench]:
    """A slot with a worker whose supervisor and peers the test plays."""
    made = Bench()
    yield made
    made.close()
