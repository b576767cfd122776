"""Partial-order reduction: of steps that do not concern each other, one order is enough. For safety, on request.

In a state it looks for an engine whose steps may be taken alone, the others put off. Such an engine

1. is read by no property, so its steps change nothing that is looked at;
2. only sends and changes its own state: nothing is born, ends, or is recorded;
3. gets no new mail before it takes a step: no engine that can still act without it will ever send to it, as far as is
   known who sends to whom;
4. leads to a new state, or it could be put first for ever; else all steps are taken.

Steps of different engines commute: each uses up its own mail, and what both send is in transit in either case.

Which engines are read and who sends to whom is what was met so far. When a search met more than it began with, it is
made again with that. At the end both hold for the states that were left out too: such a state has, for what is read,
the same content as one that was met, so the properties read no more of it; and each step of an engine that is possible
there was taken somewhere, because it was put off, not left out.

A violation is found when there is one; the way to it is not always the shortest.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from engines.model.system import Envelope
from engines.model.system_view import EngineView, SystemView
from host.check.local import CheckError
from host.check.search import Expand, Exploration
from host.check.space import FIRST, NETWORK, ROSTER, Space, State
from host.check.visited import Add


class Reads:
    """What properties read: names of engines, and whether anything beside engines."""

    def __init__(self) -> None:
        self.names: set[str] = set()
        self.all: bool = False


class TrackedView(SystemView):
    """A view that notes what is read of it."""

    __slots__ = ("_reads",)

    def __init__(
        self, engines: Mapping[str, EngineView], transit: Callable[[], Sequence[Envelope]], history: Any, reads: Reads
    ) -> None:
        super().__init__(engines, transit, history)
        self._reads = reads

    @property
    def in_transit(self) -> Sequence[Envelope]:
        """Read in whole: then no step goes unseen."""
        self._reads.all = True
        return super().in_transit

    def engine(self, name: str) -> EngineView:
        """The engine of this name; noted."""
        self._reads.names.add(name)
        return super().engine(name)

    def engines(self, family: str = "") -> tuple[EngineView, ...]:
        """All engines, or those of a family; all noted."""
        found = super().engines(family)
        self._reads.names.update(view.name for view in found)
        return found


class Reduction:
    """The choice of steps in one search. Raises CheckError for a system it cannot be used with."""

    def __init__(self, space: Space, reads: Reads) -> None:
        system = space.system
        if system.record is not None or space.has_mishaps or space.canonical is not None or system.network == "lossy":
            raise CheckError("--por goes with neither a history, lossy networks, node faults nor symmetry")
        self._space = space
        self._reads = reads
        self._hidden = frozenset[str]()
        self._sends: dict[str, frozenset[str]] = {}
        self._sizes = (0, 0)

    def begin(self) -> None:
        """Fix what is known for a search."""
        space = self._space
        self._sizes = (len(self._reads.names), len(space.sends))
        targets: dict[str, set[str]] = {}
        for sender, target in space.sends:
            targets.setdefault(sender, set()).add(target)
        self._sends = {sender: frozenset(found) for sender, found in targets.items()}

    def met_more(self) -> bool:
        """Whether the search met more than was known at its beginning."""
        return self._sizes != (len(self._reads.names), len(self._space.sends))

    def expand(self, state: State, print_: int, add: Add, found: list[tuple[State, int]]) -> int:
        """As `Space.expand`, for a choice of steps that is enough."""
        if not self._reads.all:
            roster = self._space.rosters[state[ROSTER]]
            moves = self._space.moves_of(state)
            active = frozenset(
                name for name, (plain, others) in zip(roster.names, moves, strict=True) if plain or others
            )
            for at, (name, (plain, others)) in enumerate(zip(roster.names, moves, strict=True), FIRST):
                if plain and not others and name not in self._reads.names and self._is_left_alone(name, active):
                    before = len(found)
                    count = self._take(state, print_, at, plain, add, found)
                    if len(found) > before:
                        return count
        return self._space.expand(state, print_, add, found)

    def _is_left_alone(self, name: str, active: frozenset[str]) -> bool:
        """Whether no engine that can act without this one will send to it."""
        met, todo = set[str](), [one for one in active if one != name]
        while todo:
            sender = todo.pop()
            targets = self._sends.get(sender, frozenset())
            if name in targets:
                return False
            met.add(sender)
            todo += (target for target in targets if target not in met)
        return True

    def _take(
        self,
        state: State,
        print_: int,
        at: int,
        plain: tuple[tuple[int, int, int], ...],
        add: Add,
        found: list[tuple[State, int]],
    ) -> int:
        network = self._space.network
        for after, difference, change in plain:
            reached = network.successors[state[NETWORK]].get(change) or network.changed(state[NETWORK], change)
            print_after = print_ ^ difference ^ reached[1]
            if add(print_after, print_):
                changed = list(state)
                changed[NETWORK], changed[at] = reached[0], after
                found.append((tuple(changed), print_after))
        return len(plain)


def searched(space: Space, make: Callable[[Expand], Exploration]) -> Exploration:
    """A search with a choice of steps, at its end; made again until it met no more than it began with.

    A violation that was met is one at once; that something holds in no state is so only at the end.
    """
    reads = Reads()
    space.view_of = partial(TrackedView, reads=reads)
    reduction = Reduction(space, reads)
    while True:
        reduction.begin()
        search = make(reduction.expand)
        search.run()
        if any(violation.path for violation in search.found.violations) or not reduction.met_more():
            return search
