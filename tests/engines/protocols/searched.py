"""Searches of the systems in `engines/protocols`, and what they found in a form that tests compare."""

from __future__ import annotations

from typing import Final

import msgspec

from engines.model.system import System
from host.check.local import Engines
from host.check.properties import properties_of
from host.check.search import Bounds, Exploration, Findings
from host.check.space import Space
from host.check.trace import trace_of

BOUNDS: Final = Bounds(states=400_000)
"""More than any system here has, so that one without an end fails its test."""


class Searched(msgspec.Struct, frozen=True):
    """A space and what was found in it."""

    space: Space
    found: Findings

    def counts(self) -> tuple[int, int]:
        """States and transitions, when all were met and nothing is wrong."""
        assert not self.found.ended
        assert self.found.violations == []
        assert self.space.dropped == {}
        return self.found.counts.states, self.found.counts.transitions

    def witness(self, name: str) -> int:
        """How many steps lead to the first state in which a property that holds sometimes does."""
        return len(self.found.witnesses[f"sometimes {name}"]) - 1

    def violation(self) -> tuple[str, list[str]]:
        """The property that does not hold, and the way there: who takes which message of whom."""
        (violation,) = self.found.violations
        steps = trace_of(self.space, violation.path).steps
        lines = []
        for step in steps:
            assert step.envelope is not None
            lines.append(f"{step.envelope.sender} {type(step.envelope.message).__name__} {step.engine}")
        return violation.property, lines


def searched(system: System, *, ignores_idle: bool = False, bounds: Bounds = BOUNDS) -> Searched:
    """Search for what the system states. `ignores_idle`: with the semantics of Stateright's actors."""
    space = Space(system, Engines(), ignores_idle=ignores_idle)
    return Searched(space, Exploration(space, properties_of(system), bounds).run())
