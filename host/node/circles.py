"""Circles of stopped engines: which engine waits for which, over the whole node, and how a circle is relieved. Pure.

An engine is *stuck* while one of its outputs is held because the target's mailbox sent stop, and its own mailbox has
sent stop as well. It gets no trigger before all it holds has left, so it takes no mail, so it stays full. Hence a
circle of stuck engines stands still for ever (the AND model of Knapp, "Deadlock detection in distributed databases",
1987). Nothing else does for that reason: a long chain ends in an engine that is not stuck. Only a driver could take
mail while it waits to send; its circle was never real, and costs no more than an allowance while it handles nothing.

Workers are asked one by one, so their reports are not from one instant, and a circle in them may be a phantom. A circle
is taken for real only when two looks, the second begun after the first one's answers, agree on each of its engines:
same process, same targets, and no message handled or sent in between. Each engine then stayed as it was from its first
answer to its second. All of these spans have an instant in common, and a circle at one instant stays.

The awkward case is a circle that ends between the second look and its relief: a process died, a user ended an engine.
Then the relief names engines that are not stuck, or gone, and does nothing.
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
"""The name of the query sent to workers."""


class Stuck(msgspec.Struct, frozen=True, array_like=True):
    """An engine that is stuck. `process` is the worker that answered; `targets`, sorted, have stopped it.

    `is_spent`: its mailbox was given its allowance before, and is full again.
    """

    engine: str
    process: int
    targets: tuple[str, ...]
    handled: int
    sent: int
    is_spent: bool


class Allowance(msgspec.Struct, frozen=True):
    """The mailboxes of `engine` may fill beyond their capacity."""

    circle: Circle
    engine: str
    process: int


class Loss(msgspec.Struct, frozen=True):
    """Messages that `engine` holds and sends for `target` become dead letters while its own mailbox is full."""

    circle: Circle
    engine: str
    target: str
    process: int


class Looks:
    """Mutable: the engines found stuck at the last look."""

    def __init__(self) -> None:
        self._last: Mapping[str, Stuck] = {}

    def reliefs(self, stuck: Iterable[Stuck]) -> list[Allowance | Loss]:
        """The reliefs for the circles that this look and the one before agree on; no engine is in two of them."""
        seen = {one.engine: one for one in stuck}
        steady = {name: one for name, one in seen.items() if self._last.get(name) == one}
        self._last = seen
        return [relief(circle, steady) for circle in circles({name: one.targets for name, one in steady.items()})]


def relief(circle: Circle, stuck: Mapping[str, Stuck]) -> Allowance | Loss:
    """An allowance for the mailbox of the circle's first engine; once that is spent, the loss of its sender."""
    first, last = stuck[circle[0]], stuck[circle[-1]]
    if first.is_spent:
        return Loss(circle, last.engine, first.engine, last.process)
    return Allowance(circle, first.engine, first.process)


def circles(waits: Mapping[str, Iterable[str]]) -> list[Circle]:
    """Disjoint circles in a graph of waiting engines; no circle is left among engines outside the found ones.

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

    An engine that is done has only done engines ahead: it leads to no circle, or only to engines of a found one.
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
