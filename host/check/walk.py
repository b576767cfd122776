"""Random walks: for systems that are too large to explore. What they find is a fact; what they miss may be there.

Each walk begins at the first state and takes one step after the other, each of all that are possible with the same
chance, until nothing is possible or it is as long as it may be. The same seed gives the same walks.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, Final

from engines.model.check.samples import Dice
from host.check.plain import AnySpace
from host.check.properties import Property, PropertyError, holds
from host.check.search import NO_RULE_RAISES, Bounds, Counts, Findings, Violation, said
from host.check.space import Successor
from host.check.visited import OwnVisited

STEPS: Final = 1_000
"""The length of a walk, unless a depth is given."""


def walk(
    space: AnySpace,
    properties: Sequence[Property],
    bounds: Bounds,
    walks: int,
    seed: int,
    *,
    allows_failures: bool = False,
    progress: Callable[[Counts], None] | None = None,
) -> Findings:
    """Look at the states of `walks` walks, until one violates what always holds, a rule raises, or a bound is reached.

    `counts.states` are distinct ones; `bounds.depth` is the length of a walk.
    """
    walker = _Walker(space, properties, allows_failures)
    found, dice, started = walker.found, Dice(seed), time.monotonic()
    for _ in range(walks):
        walker.walk(dice, STEPS if bounds.depth is None else bounds.depth)
        found.counts.states = len(found.seen)
        if progress is not None:
            progress(found.counts)
        if found.violations:
            found.ended = "it ended at the first violation"
            return found
        if bounds.seconds is not None and time.monotonic() - started >= bounds.seconds:
            break
        if bounds.states is not None and found.counts.states >= bounds.states:
            break
    found.ended = "random walks do not meet all states"
    return found


class _Walker:
    def __init__(self, space: AnySpace, properties: Sequence[Property], allows_failures: bool) -> None:
        self.found = Findings(Counts(), [], {}, seen=OwnVisited())
        self._space = space
        self._allows_failures = allows_failures
        self._always = [one for one in properties if one.claim == "always"]
        self._sometimes = [one for one in properties if one.claim == "sometimes"]

    def walk(self, dice: Dice, steps: int) -> None:
        """One walk; ends at a violation."""
        state, path = self._space.initial, [self._space.print_of(self._space.initial)]
        counts = self.found.counts
        self._look(state, path)
        while len(path) <= steps and not self.found.violations:
            moving = [one for one in self._space.successors(state) if one.state != state or _fails(one)]
            if not moving:
                return
            step = dice.pick(moving)
            state = step.state
            path.append(step.print)
            counts.transitions += 1
            counts.depth = max(counts.depth, len(path) - 1)
            if _fails(step) and not self._allows_failures:
                assert step.reaction is not None
                self.found.violations.append(Violation(NO_RULE_RAISES, said(step.reaction), tuple(path)))
                return
            self._look(state, path)

    def _look(self, state: Any, path: list[int]) -> None:
        """Whether each claim holds in a state that was not met before."""
        is_new = self.found.seen.add(path[-1], path[-2] if len(path) > 1 else 0)
        if not is_new or not (self._always or self._sometimes):
            return
        view = self._space.view(state)
        try:
            for one in self._always:
                if not holds(one.holds, view):
                    self.found.violations.append(Violation(one.name, "does not hold", tuple(path)))
                    return
            for one in self._sometimes:
                if one.name not in self.found.witnesses and holds(one.holds, view):
                    self.found.witnesses[one.name] = tuple(path)
        except PropertyError as error:
            self.found.violations.append(Violation(one.name, str(error), tuple(path)))


def _fails(step: Successor) -> bool:
    return step.reaction is not None and bool(step.reaction.error)
