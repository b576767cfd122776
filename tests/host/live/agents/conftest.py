from __future__ import annotations

from pathlib import Path

import pytest

BY_DEFAULT = ("test_engine_for_agents.py", "test_operators.py")
"""An engine for agents from the first command to the last. All else here takes a node, a store and processes a test."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Function]) -> None:
    """What runs whole engines for agents is for the storms, but for one way through."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents and item.path.name not in BY_DEFAULT and not item.get_closest_marker("long"):
            item.add_marker(pytest.mark.storm)
