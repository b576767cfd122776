"""Nine pairs on one node: a sender and a receiver of each mode, and what was asked of them and came.

Numbers tell everything: those of a sender rise, no two orders share any, and a receiver keeps all it has handled. So a
trail that rises has no repeats, and one that has all its sender's numbers lost none.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterable, Sequence
from contextlib import suppress
from itertools import pairwise
from random import Random
from typing import Any, Final

from live_nodes import LiveNode, World, until

from host.config.spec import EngineSpec, NodeSpec, SupervisionSpec
from host.live.control.client import Client
from host.live.control.protocol import ControlError

MODES: Final = ("volatile", "crash", "durable")
PAIRS: Final = [(sender, receiver) for sender in MODES for receiver in MODES]
SENDER_NUMBERS: Final = 1_000_000
COUNT: Final = 5
"""Numbers in an order."""

FREE: Final = SupervisionSpec(intensity=None, backoff_ns=0, budget=None)
Trails = dict[str, list[int]]
"""All that a receiver has handled, by its mode."""


def pairs_spec(world: World) -> NodeSpec:
    """Six engines, each in a process of its own."""
    kinds = (("from", "pairing:SENDER"), ("to", "pairing:RECEIVER"))
    engines = [EngineSpec(f"{name}_{mode}", family, durability=mode) for name, family in kinds for mode in MODES]
    return world.spec(*engines, supervision=FREE)


class Orders:
    """What the senders were told to send. `sure`: first numbers of acknowledged orders; `doubtful`: of others."""

    def __init__(self, first: int = 1) -> None:
        self.first = first
        self._next = {mode: base_of(mode) + first for mode in MODES}
        self._begun: set[int] = set()
        self.sure: dict[str, list[int]] = {mode: [] for mode in MODES}
        self.doubtful: dict[str, list[int]] = {mode: [] for mode in MODES}

    def give(self, client: Client, mode: str) -> None:
        """One order more. A journaled sender is asked again, under the same id, until it has it; raises `ControlError`
        only when the node is gone, and then the order is the first of the next life.
        """
        first = self._next[mode]
        self._begun.add(first)
        if mode == "volatile":
            self._next[mode] += COUNT
            with suppress(ControlError):
                self._send(client, mode, first)
                self.sure[mode].append(first)
                return
            self.doubtful[mode].append(first)
        else:
            until(lambda: self._is_sent(client, mode, first), f"an order for {mode}")
            self._next[mode] += COUNT
            self.sure[mode].append(first)

    def numbers(self, mode: str) -> list[int]:
        """All that were acknowledged."""
        return spread(self.sure[mode])

    def asked(self, mode: str) -> list[int]:
        """All that the sender may have sent."""
        return spread(sorted({*self.sure[mode], *self.doubtful[mode]}))

    @property
    def count(self) -> int:
        """Orders given so far."""
        return sum(len(firsts) for found in (self.sure, self.doubtful) for firsts in found.values())

    def next(self, mode: str) -> int:
        """The first number of the next order that nobody was given before.

        The node may have died while it had an order of a journaled sender: that is given again under its id, is not
        handled again if it was handled, and its numbers may have died with a volatile receiver.
        """
        first = self._next[mode]
        return first + COUNT if first in self._begun else first

    def _is_sent(self, client: Client, mode: str, first: int) -> bool:
        try:
            self._send(client, mode, first)
        except ControlError as error:
            if error.error == "not_running":
                raise
            return False
        return True

    def _send(self, client: Client, mode: str, first: int) -> None:
        fields = {"to": [f"to_{receiver}" for receiver in MODES], "first": first, "count": COUNT}
        args: dict[str, Any] = {"engine": f"from_{mode}", "tag": "Go", "timeout_ns": 1_000_000_000}
        args["fields"] = {name: ["json", value] for name, value in fields.items()}
        if mode != "volatile":
            args["id"] = str(first)
        client.request("send", args)


class Work(threading.Thread):
    """Orders for all senders in turn, with pauses, until it is told to stop or the node is gone."""

    def __init__(self, node: LiveNode, orders: Orders, seed: int) -> None:
        super().__init__()
        self._path, self._orders, self._random = node.client.path, orders, Random(seed)
        self._is_over = threading.Event()
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            with Client(self._path) as client:
                while not self._is_over.wait(self._random.uniform(0, 0.01)):
                    self._orders.give(client, self._random.choice(MODES))
        except ControlError as error:
            self.error = None if error.error == "not_running" else error
        except BaseException as error:
            self.error = error

    def end(self) -> None:
        """Wait until it has stopped; raises what went wrong in it."""
        self._is_over.set()
        self.join()
        if self.error is not None:
            raise self.error


def base_of(mode: str) -> int:
    return SENDER_NUMBERS * (1 + MODES.index(mode))


def spread(firsts: Iterable[int]) -> list[int]:
    """The numbers of these orders."""
    return [number for first in firsts for number in range(first, first + COUNT)]


def of_sender(trail: Sequence[int], mode: str, first: int = 1) -> list[int]:
    """What came from the sender of this mode, of orders from `first` on."""
    begin = base_of(mode) + first
    return [number for number in trail if begin <= number < base_of(mode) + SENDER_NUMBERS]


def rises(numbers: Sequence[int]) -> bool:
    """In order, and none twice."""
    return all(one < other for one, other in pairwise(numbers))


def is_prefix(one: Sequence[int], other: Sequence[int]) -> bool:
    return list(other[: len(one)]) == list(one)


def trail(node: LiveNode, mode: str) -> list[int]:
    """What a receiver has handled, as soon as it answers."""
    return list(until(lambda: _state(node, f"to_{mode}"), f"the state of to_{mode}")["numbers"])


def trails(node: LiveNode) -> Trails:
    return {mode: trail(node, mode) for mode in MODES}


def _state(node: LiveNode, engine: str) -> dict[str, Any] | None:
    with suppress(ControlError):
        found: dict[str, Any] = node.ask("state", engine=engine)[0]["state"]
        return found
    return None


def settle(node: LiveNode, orders: Orders, more: int = 2) -> Trails:
    """Two orders more for each sender, and all trails once these came: what was under way before is there or lost.

    Two, because the first may be one that was given before all was killed (`Orders.next`).
    """
    for mode in MODES:
        given = len(orders.sure[mode])
        while len(orders.sure[mode]) < given + more:
            orders.give(node.client, mode)
    last = {number + COUNT - 1 for number in (orders.sure[mode][-1] for mode in MODES)}
    for mode in MODES:
        until(lambda mode=mode: last <= set(trail(node, mode)), f"the last numbers, at to_{mode}")
    return trails(node)


def kill_all(world: World, random: Random) -> None:
    """kill -9 of every process, in any order."""
    pids = world.processes()
    random.shuffle(pids)
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    until(lambda: not world.processes(), "the end of all processes")
