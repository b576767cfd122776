"""A search from beginning to end, for tests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from engines.model.system import System, TimerKind
from host.check.local import Engines
from host.check.properties import Property
from host.check.search import UNBOUNDED, Bounds, Exploration, Findings
from host.check.space import Space
from host.check.symmetry import Symmetry
from host.check.visited import IS_SHARED

NEEDS_SHARED = pytest.mark.skipif(not IS_SHARED, reason="workers share states by the extension in C")


def explored(
    system: System,
    *properties: Property,
    bounds: Bounds = UNBOUNDED,
    timers: TimerKind = "untimed",
    allows_failures: bool = False,
    symmetric: Sequence[Sequence[str]] = (),
    **options: Any,
) -> tuple[Space, Findings]:
    """The space and what was found in it; all states are kept."""
    space = Space(system, Engines(timers, tuple(system.ticks_ns), None, system.reloads), **options)
    if symmetric:
        space.canonical = Symmetry(space, symmetric).canonical
    search = Exploration(space, properties, bounds, keeps_states=True, allows_failures=allows_failures)
    return space, search.run()


def states_of(space: Space, found: Findings, engine: str) -> set[Any]:
    """All states that an engine was met in."""
    views = (space.view(state) for state in found.states)
    return {view.engine(engine).state for view in views if engine in view}
