"""The search: breadth first, so that the first state that violates a property is one of the nearest.

What is kept of a state that was met is its fingerprint and its parent's; the states themselves only for the level at
hand. Two states of one fingerprint would be taken for one. With n states the chance that any two are is about
n^2 / 2^65, which the result states.

The search ends at the first violation, at a bound, or when there is no new state. Only then is it exhaustive.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from engines.model.system_view import SystemView
from host.check.local import CheckError, Reaction
from host.check.plain import AnySpace
from host.check.properties import Property, PropertyError, holds
from host.check.visited import Add, Visited, new_visited

PROGRESS_EVERY: Final = 4_096
"""States expanded between two looks at the clock."""


State = Any
"""A state of either kind of space."""

Expand = Callable[[State, int, Add, list[tuple[State, int]]], int]
"""As `Space.expand`."""


class Bounds(msgspec.Struct, frozen=True):
    """Where a search ends before it is exhaustive; None: nowhere. `seconds` is time on the wall clock."""

    depth: int | None = None
    states: int | None = None
    seconds: float | None = None


UNBOUNDED: Final = Bounds()


NO_RULE_RAISES: Final = "no rule raises"
"""The property of which a rule that raises is a violation."""


def said(reaction: Reaction) -> str:
    """What a failed reaction raised, in a line, then its traceback."""
    return f"{reaction.dropped}\n{reaction.error}" if reaction.dropped else reaction.error


class Counts(msgspec.Struct):
    """How far a search has come: distinct states, successors made, steps from the first state."""

    states: int = 0
    transitions: int = 0
    depth: int = 0


class Violation(msgspec.Struct, frozen=True):
    """A claim that does not hold. `path` are fingerprints from the first state to the one that shows it; those from
    `loop` on repeat for ever (None: they do not)."""

    property: str
    what: str
    path: tuple[int, ...] = ()
    loop: int | None = None


class Findings(msgspec.Struct):
    """The result of a search. `ended` says why it is not exhaustive, or is "". `witnesses`: a state for each claim that
    something holds sometimes."""

    counts: Counts
    violations: list[Violation]
    witnesses: dict[str, tuple[int, ...]]
    ended: str = ""
    seen: Visited = msgspec.field(default_factory=new_visited)
    states: list[State] = []

    @property
    def collision_chance(self) -> float:
        """About how likely it is that two states were taken for one."""
        return self.counts.states**2 / 2.0**65


class Exploration:
    """One search.

    Args:
        keeps_states: all states are kept, for what is checked of the whole graph.
        allows_failures: a rule that raises is no violation.
        progress: called now and then with the counts; may raise to end the search.
        expand: in place of the space's own, a choice of steps.
    """

    def __init__(
        self,
        space: AnySpace,
        properties: Sequence[Property],
        bounds: Bounds = UNBOUNDED,
        *,
        keeps_states: bool = False,
        allows_failures: bool = False,
        progress: Callable[[Counts], None] | None = None,
        expand: Expand | None = None,
    ) -> None:
        self.found = Findings(Counts(), [], {})
        self._space = space
        self._bounds = bounds
        self._keeps_states = keeps_states
        self._allows_failures = allows_failures
        self.progress = progress
        self._always = [one for one in properties if one.claim == "always"]
        self._sometimes = [one for one in properties if one.claim == "sometimes"]
        self._started = time.monotonic()
        self._expand = space.expand if expand is None else expand
        self._failed_at: tuple[State, int] | None = None

    def run(self) -> Findings:
        """Search until the end."""
        self.run_until(None)
        return self.found

    def run_until(self, size: int | None) -> list[tuple[State, int]]:
        """Search until a level has `size` states; that level, or nothing at the end. It was looked at."""
        space, found = self._space, self.found
        first = (space.initial, space.print_of(space.initial))
        found.seen.add(first[1], 0)
        level = [first]
        while not self.look(level) and level:
            depth = self._bounds.depth
            if depth is not None and found.counts.depth >= depth:
                found.ended = f"the bound of {depth} steps was reached"
                break
            if size is not None and len(level) >= size:
                return level
            after: list[tuple[State, int]] = []
            found.counts.transitions += self.expand(level, after)
            level = after
            found.counts.depth += bool(level)
        self.conclude()
        return []

    def conclude(self) -> None:
        """Say what follows from the end of the search."""
        found = self.found
        if found.violations:
            found.ended = "it ended at the first violation"
        if not found.ended:
            missing = (one for one in self._sometimes if one.name not in found.witnesses)
            found.violations += (Violation(one.name, "holds in no state") for one in missing)

    def expand(self, level: list[tuple[State, int]], after: list[tuple[State, int]]) -> int:
        """Add the new states that are one step away from a level to `after`; how many steps there are.

        Raises CheckError when memory is full.
        """
        try:
            return self._expand_all(level, after)
        except MemoryError as error:
            states = f"{len(self.found.seen):,} states"
            raise CheckError(
                f"memory is full after {states} ({error}): end earlier, with --states or --depth"
            ) from None

    def _expand_all(self, level: list[tuple[State, int]], after: list[tuple[State, int]]) -> int:
        count, seen, expand = 0, self.found.seen, self._expand
        add = seen.add
        failures = self._space.failures
        for begin in range(0, len(level), PROGRESS_EVERY):
            for state, print_ in level[begin : begin + PROGRESS_EVERY]:
                count += expand(state, print_, add, after)
                if failures and self._failed_at is None:
                    self._failed_at = (state, print_)
            if self._is_over(len(seen)):
                break
        return count

    def _is_over(self, states: int) -> bool:
        self.found.counts.states = states
        if self.progress is not None:
            self.progress(self.found.counts)
        bounds = self._bounds
        if self._space.failures and not self._allows_failures:
            return True
        if bounds.states is not None and states >= bounds.states:
            self.found.ended = f"the bound of {bounds.states:,} states was reached"
        elif bounds.seconds is not None and time.monotonic() - self._started >= bounds.seconds:
            self.found.ended = f"the bound of {bounds.seconds:g} s was reached"
        return bool(self.found.ended)

    def look(self, level: list[tuple[State, int]]) -> bool:
        """Look at the states of a level; returns whether the search is over."""
        found = self.found
        found.counts.states = len(found.seen)
        if self._keeps_states:
            found.states += (state for state, _ in level)
        if self._always or self._sometimes:
            for state, print_ in level:
                if not self._holds(self._space.view(state), print_):
                    return True
        if self._failed_at is not None and not self._allows_failures:
            found.violations.append(self._failure())
        return bool(found.violations or found.ended)

    def _holds(self, view: SystemView, print_: int) -> bool:
        """Whether each claim holds in a state; notes the first states in which something holds sometimes."""
        try:
            for one in self._always:
                if not holds(one.holds, view):
                    self.found.violations.append(Violation(one.name, "does not hold", self.path(print_)))
                    return False
            for one in self._sometimes:
                if holds(one.holds, view):
                    self.found.witnesses[one.name] = self.path(print_)
            if self.found.witnesses:
                self._sometimes = [one for one in self._sometimes if one.name not in self.found.witnesses]
        except PropertyError as error:
            self.found.violations.append(Violation(one.name, str(error), self.path(print_)))
            return False
        return True

    def _failure(self) -> Violation:
        """The first rule that raised, or version that did not take a state over, with the way there."""
        assert self._failed_at is not None
        state, print_ = self._failed_at
        for successor in self._space.successors(state):
            if successor.reaction is not None and successor.reaction.error:
                last = self._space.canonical_print(successor.state)
                return Violation(NO_RULE_RAISES, said(successor.reaction), (*self.path(print_), last))
        raise AssertionError("a failure was counted, and no successor fails")

    def path(self, print_: int) -> tuple[int, ...]:
        """The fingerprints from the first state to this one."""
        path, seen = [print_], self.found.seen
        while parent := seen.parent(path[-1]):
            path.append(parent)
        return tuple(reversed(path))
