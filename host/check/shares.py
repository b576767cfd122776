"""The graph of all states from the shares of several processes, for what must happen sooner or later.

Each process knows the states that it owns. It says of them, as fingerprints: which they are, the steps from them with
what is owed, and where each predicate holds. Messages have other numbers in each process, so what is owed is a
fingerprint too.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import Any

import msgspec

from engines.model import encode
from host.check.liveness import Edge, Graph
from host.check.network import fingerprint
from host.check.plain import AnySpace
from host.check.properties import Predicate, PropertyError, holds
from host.check.space import Space


class Share(msgspec.Struct, array_like=True):
    """States by fingerprint, how many steps each has, the steps as pairs of target and owed (0: nothing), and for each
    predicate a byte a state, and what it raised, or ""."""

    prints: bytes
    degrees: bytes
    steps: bytes
    truths: list[tuple[bytes, str]]


def share_of(space: AnySpace, states: Sequence[Any], predicates: Sequence[Predicate]) -> bytes:
    """What this process knows of its states."""
    prints, degrees, steps = array("Q"), array("I"), array("Q")
    for state in states:
        prints.append(space.canonical_print(state))
        before = len(steps)
        for step in space.successors(state):
            steps.extend((space.canonical_print(step.state), _owed(space, step.owed)))
        degrees.append((len(steps) - before) // 2)
    truths = [_truth(space, states, predicate) for predicate in predicates]
    return encode(Share(prints.tobytes(), degrees.tobytes(), steps.tobytes(), truths))


class JoinedGraph(Graph):
    """The graph that shares make together; the first state of the first of them is that of the system."""

    def __init__(self, shares: Sequence[bytes], predicates: Sequence[Predicate]) -> None:
        read = [_SHARE.decode(data) for data in shares]
        self.prints = [print_ for share in read for print_ in array("Q", share.prints)]
        numbers = {print_: number for number, print_ in enumerate(self.prints)}
        self.states = []
        self.edges = []
        for share in read:
            steps, at = array("Q", share.steps), 0
            for degree in array("I", share.degrees):
                pairs = range(at, at + 2 * degree, 2)
                self.edges.append(tuple(Edge(numbers[steps[one]], steps[one + 1] or None) for one in pairs))
                at += 2 * degree
        self._predicates = predicates
        self._truths = [share.truths for share in read]

    def where(self, predicate: Predicate) -> list[bool]:
        """As `Graph.where`, of one of the predicates."""
        place = next(place for place, one in enumerate(self._predicates) if one is predicate)
        found: list[bool] = []
        for truths in self._truths:
            truth, error = truths[place]
            if error:
                raise PropertyError(error)
            found += map(bool, truth)
        return found


def _owed(space: AnySpace, owed: int | str | None) -> int:
    if owed is None:
        return 0
    if isinstance(owed, int) and isinstance(space, Space):
        return space.parts.message_prints[owed]
    return fingerprint(encode(["owed", owed]))


def _truth(space: AnySpace, states: Sequence[Any], predicate: Predicate) -> tuple[bytes, str]:
    try:
        return bytes(holds(predicate, space.view(state)) for state in states), ""
    except PropertyError as error:
        return b"", str(error)


_SHARE = msgspec.msgpack.Decoder(Share)
