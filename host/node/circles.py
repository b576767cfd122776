"""Circles of stopped engines: who waits for whom, over the whole node, and what is done about it. Pure.

An engine is *stuck* while an output of its is held because the target's mailbox said stop, and its own mailbox says
stop as well. It gets no trigger before all it holds has left, so it takes no mail, so it stays full. Hence a circle of
stuck engines stands still for ever (the AND model of Knapp, "Deadlock detection in distributed databases", 1987), and
nothing else does for that reason: a long chain ends in an engine that is not stuck. Only a driver could take mail while
it waits to send; then its circle was none, and costs no more than an allowance while it handles nothing.

Workers are asked one by one, so what they say was never true at one instant, and a circle in it may be a phantom. It is
taken for real only when two looks, the second begun after the first one's answers, agree on each of its engines: same
process, same targets, and no message handled or sent in between. Each was then as it said from its first answer to its
second; all of these spans have an instant in common; and a circle at one instant stays.

The awkward case is a circle that ends between the second look and the deed: a process died, a user ended an engine.
Then the deed names engines that are not stuck, or gone, and does nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

Circle = tuple[str, ...]
"""Engines, each waiting for the next, the last for the first; it begins with the smallest name."""

LOOK_NS: Final = 200_000_000
"""Between two looks; a circle takes at most two of these and the answers to be found."""

QUERY: Final = "stuck"
"""What workers are asked for."""


class Stuck(msgspec.Struct, frozen=True, array_like=True):
    """An engine that is stuck. `process` is whoever answered; `targets`, sorted, have stopped it.

    `is_spent`: its mailbox was given its allowance before, and is full again.
    """

    engine: str
    process: int
    targets: tuple[str, ...]
    handled: int
    sent: int
    is_spent: bool


class Allowance(msgspec.Struct, frozen=True):
    """The mailboxes of `engine` take more than they should."""

    circle: Circle
    engine: str
    process: int


class Loss(msgspec.Struct, frozen=True):
    """What `engine` holds and sends for `target` becomes dead letters, as long as its own mailbox is full."""

    circle: Circle
    engine: str
    target: str
    process: int


class Looks:
    """Mutable: what the look before saw."""

    def __init__(self) -> None:
        self._last: Mapping[str, Stuck] = {}

    def reliefs(self, stuck: Iterable[Stuck]) -> list[Allowance | Loss]:
        """What to do about the circles that this look and the one before agree on; no engine is in two of them."""
        seen = {one.engine: one for one in stuck}
        steady = {name: one for name, one in seen.items() if self._last.get(name) == one}
        self._last = seen
        return [relief(circle, steady) for circle in circles({name: one.targets for name, one in steady.items()})]


def relief(circle: Circle, stuck: Mapping[str, Stuck]) -> Allowance | Loss:
    """The mailbox of the circle's first engine gets an allowance; once that is spent, who sends to it loses."""
    first, last = stuck[circle[0]], stuck[circle[-1]]
    if first.is_spent:
        return Loss(circle, last.engine, first.engine, last.process)
    return Allowance(circle, first.engine, first.process)


def circles(waits: Mapping[str, Iterable[str]]) -> list[Circle]:
    """Disjoint circles in a graph of who waits for whom; none is left among engines that are in no found one.

    The same graph gives the same circles, whatever the order in it. Takes time in proportion to engines and edges.
    """
    ahead = {name: sorted(target for target in waits[name] if target in waits) for name in sorted(waits)}
    done: set[str] = set()
    found: list[Circle] = []
    for start in ahead:
        _walk(start, ahead, done, found)
    return sorted(found)


def _walk(start: str, ahead: Mapping[str, list[str]], done: set[str], found: list[Circle]) -> None:
    """Depth first from `start`, without recursion; a circle is cut out of the path where it closes.

    Whoever is done has nothing ahead that is not: it leads to no circle, or only to engines of one.
    """
    if start in done:
        return
    path: dict[str, int] = {start: 0}
    while path:
        name = next(reversed(path))
        at = path[name]
        if at == len(ahead[name]):
            del path[name]
            done.add(name)
            continue
        path[name] = at + 1
        target = ahead[name][at]
        if target in path:
            circle = list(path)[list(path).index(target) :]
            found.append(_turned(circle))
            done.update(circle)
            for engine in circle:
                del path[engine]
        elif target not in done:
            path[target] = 0


def _turned(circle: list[str]) -> Circle:
    first = circle.index(min(circle))
    return tuple(circle[first:] + circle[:first])
