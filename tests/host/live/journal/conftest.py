from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from live_nodes import World
from traced_disk import Tracing, build


@pytest.fixture(scope="session")
def traced_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What is preloaded to trace a node's disk."""
    if shutil.which("gcc") is None:
        pytest.skip("needs gcc")
    return build(tmp_path_factory.mktemp("traced"))


@pytest.fixture
def tracing(world: World, traced_library: Path) -> Tracing:
    """The data folder of this test's node "test", traced."""
    return Tracing(traced_library, world.folder, world.folder / "test")
