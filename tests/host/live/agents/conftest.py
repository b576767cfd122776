from __future__ import annotations

import pytest

BY_DEFAULT = ("test_engine_for_agents.py", "test_operators.py")
"""An engine for agents from the first command to the last. All else here takes a node, a store and processes a test."""


def pytest_itemcollected(item: pytest.Item) -> None:
    """What runs whole engines for agents is for the storms, but for one way through."""
    if item.path.name not in BY_DEFAULT and not item.get_closest_marker("long"):
        item.add_marker(pytest.mark.storm)
