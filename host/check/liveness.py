"""What must happen sooner or later, checked on the graph of all states.

A run is fair if each thing that could happen again and again does happen again and again: the delivery of a message
that was sent, the lapse of a timer, the end of a die's roll (the model's strong fairness). Nothing is owed to what the
world outside may do, to a user's choice, to losses, node faults and reloads. So a run may end in a state in which
nothing that is owed can happen, and only there.

`eventually P` fails if some fair run never comes to a state with P: among the states without P that can be reached
through such states, one in which the run may end, or a fair cycle. Such a cycle lies in a strongly connected component
in which each owed thing that some state of it allows is done by some step of it. Where one is not, the states that
allow it are left out, and what is left is looked at again: a fair run could not come back to them for ever.

Both ends are joined on the graph of states, not on paths that were met first, so neither a run that joins another one
with something still owed, nor a cycle, is missed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from host.check.plain import AnySpace
from host.check.properties import Predicate, holds


class Edge(NamedTuple):
    """A step to a state by its number. `owed` is what it does, if that is owed; see `Successor`."""

    to: int
    owed: int | str | None


class Graph:
    """All states by number, in the order they were met, and the steps between them."""

    def __init__(self, space: AnySpace, states: Sequence[Any]) -> None:
        self.states = states
        self.prints = [space.canonical_print(state) for state in states]
        numbers = {print_: number for number, print_ in enumerate(self.prints)}
        self.edges: list[tuple[Edge, ...]] = [
            tuple(Edge(numbers[space.canonical_print(step.state)], step.owed) for step in space.successors(state))
            for state in states
        ]
        self._space = space

    def path(self, state: int) -> tuple[int, ...]:
        """The shortest way from the first state to another one."""
        return _path(_reached(self, [0], [False] * len(self.edges)), state)

    def where(self, predicate: Predicate) -> list[bool]:
        """For each state, whether a predicate holds. Raises PropertyError."""
        return [holds(predicate, self._space.view(state)) for state in self.states]


class Lasso(NamedTuple):
    """A run that ends, or goes round for ever from the state at `loop` of its path on."""

    path: tuple[int, ...]
    loop: int | None


def never(graph: Graph, begins: Iterable[int], avoids: Sequence[bool]) -> Lasso | None:
    """A fair run from one of the states in `begins` on which `avoids` is False everywhere; None if there is none.

    The path begins in one of `begins`, and is the shortest to the states that make the run fair.
    """
    parents = _reached(graph, [one for one in begins if not avoids[one]], avoids)
    for state in parents:
        if not any(edge.owed is not None for edge in graph.edges[state]):
            return Lasso(_path(parents, state), None)
    todo = [set(parents)]
    while todo:
        for component in _components(graph, todo.pop()):
            left = _unmet(graph, component)
            if left is None:
                return _lasso(graph, parents, component)
            if left < component:
                todo.append(component - left)
    return None


def _reached(graph: Graph, begins: Iterable[int], avoids: Sequence[bool]) -> dict[int, int | None]:
    """States that can be reached without `avoids`, nearest first, each with the one before it."""
    parents: dict[int, int | None] = dict.fromkeys(begins)
    todo = deque(parents)
    while todo:
        state = todo.popleft()
        for edge in graph.edges[state]:
            if edge.to not in parents and not avoids[edge.to]:
                parents[edge.to] = state
                todo.append(edge.to)
    return parents


def _unmet(graph: Graph, component: set[int]) -> set[int] | None:
    """The states of a component that allow something owed which no step of it does; None when a run can stay fairly.

    A component without any step is left at once: all of it is returned.
    """
    done: set[Any] = set()
    has_steps = False
    for state in component:
        for edge in graph.edges[state]:
            if edge.to in component:
                has_steps = True
                done.add(edge.owed)
    if not has_steps:
        return component
    left = {state for state in component if any(e.owed is not None and e.owed not in done for e in graph.edges[state])}
    return left or None


def _components(graph: Graph, among: set[int]) -> Iterable[set[int]]:
    """The strongly connected components of the states `among` (Tarjan, without recursion)."""
    order: dict[int, int] = {}
    low: dict[int, int] = {}
    stack: list[int] = []
    on_stack: set[int] = set()
    for root in sorted(among):
        if root in order:
            continue
        work = [(root, iter(graph.edges[root]))]
        order[root] = low[root] = len(order)
        stack.append(root)
        on_stack.add(root)
        while work:
            state, edges = work[-1]
            for edge in edges:
                if edge.to not in among:
                    continue
                if edge.to not in order:
                    order[edge.to] = low[edge.to] = len(order)
                    stack.append(edge.to)
                    on_stack.add(edge.to)
                    work.append((edge.to, iter(graph.edges[edge.to])))
                    break
                if edge.to in on_stack:
                    low[state] = min(low[state], order[edge.to])
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[state])
                if low[state] == order[state]:
                    component = set[int]()
                    while state not in component:
                        component.add(stack.pop())
                    on_stack -= component
                    yield component


def _lasso(graph: Graph, parents: dict[int, int | None], component: set[int]) -> Lasso:
    """A run to a component, and round in it such that each owed thing that can happen in it does."""
    start = next(state for state in parents if state in component)
    path = list(_path(parents, start))
    loop = len(path) - 1
    wanted = {edge.owed for state in component for edge in graph.edges[state] if edge.to in component}
    wanted.discard(None)
    here = start
    while wanted:
        part, owed = _nearest(graph, component, here, wanted)
        path += part
        wanted -= owed
        here = path[-1]
    if here != start or len(path) - 1 == loop:
        path += _back(graph, component, here, start)
    return Lasso(tuple(path), loop)


def _nearest(graph: Graph, component: set[int], here: int, wanted: set[Any]) -> tuple[list[int], set[Any]]:
    """The shortest way on that ends with a step which does something wanted, and all it does."""
    parents: dict[int, tuple[int, Any] | None] = {here: None}
    todo = deque([here])
    while todo:
        state = todo.popleft()
        for edge in graph.edges[state]:
            if edge.to not in component:
                continue
            if edge.owed in wanted:
                way, owed = _steps(parents, state)
                return [*way, edge.to], {*owed, edge.owed}
            if edge.to not in parents:
                parents[edge.to] = (state, edge.owed)
                todo.append(edge.to)
    raise AssertionError("a component is strongly connected")


def _steps(parents: dict[int, tuple[int, Any] | None], state: int) -> tuple[list[int], set[Any]]:
    way, owed = list[int](), set[Any]()
    while (before := parents[state]) is not None:
        way.append(state)
        owed.add(before[1])
        state = before[0]
    return way[::-1], owed


def _back(graph: Graph, component: set[int], here: int, start: int) -> list[int]:
    """The shortest way from one state of a component to another, or round to itself: at least one step."""
    parents: dict[int, int] = {}
    todo = deque([here])
    while start not in parents:
        state = todo.popleft()
        for edge in graph.edges[state]:
            if edge.to in component and edge.to not in parents:
                parents[edge.to] = state
                todo.append(edge.to)
    way = [start]
    while parents[way[-1]] != here:
        way.append(parents[way[-1]])
    return way[::-1]


def _path(parents: dict[int, int | None], state: int) -> tuple[int, ...]:
    path = [state]
    while (before := parents[path[-1]]) is not None:
        path.append(before)
    return tuple(reversed(path))
