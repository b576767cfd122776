"""One file per suite, each with its `SUITE`: the measurement, its unit and its contestants.

To add one, add a file here and its name in `NAMES`, which is in the order of reports. Suites are imported on demand.
"""

from __future__ import annotations

from importlib import import_module
from typing import Final

from bench.rounds import Suite

NAMES: Final = (
    "oneway",
    "batch",
    "large",
    "fanin",
    "fanout",
    "pipeline",
    "pingpong",
    "pingpong-awake",
    "ring",
    "mixed",
    "spawn",
    "spawn-process",
    "density",
    "startup",
    "durable",
    "recover",
    "replay",
    "reload",
    "storage",
    "check",
    "tx",
    "agents",
)


def load_suite(name: str) -> Suite:
    """The suite of that name, which is one of `NAMES`; `-` stands for `_` in a file's name."""
    suite: Suite = import_module(f"bench.suites.{name.replace('-', '_')}").SUITE
    return suite
