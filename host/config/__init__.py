"""Node files as validated data, with defaults filled in and a place for every mistake.

A worker imports `host.config.spec` and `host.config.convert` only, so this package imports its other modules on demand.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .load import NodeFile, load_node, read_node_file
    from .problems import ConfigErrors, ConfigProblem, render
    from .spec import NodeSpec

__all__ = ["ConfigErrors", "ConfigProblem", "NodeFile", "NodeSpec", "load_node", "read_node_file", "render"]

_HOMES = {
    "ConfigErrors": "problems",
    "NodeFile": "load",
    "NodeSpec": "spec",
    "ConfigProblem": "problems",
    "load_node": "load",
    "read_node_file": "load",
    "render": "problems",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)
