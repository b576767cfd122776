"""The last column of the table in `docs/guarantees.md`: a whole node loses power, in any state a disk may leave.

One node with all nine pairs works while its disk is traced; then states of the disk at random places of that trace are
laid out, each is recovered on its own, and on some a node is started, in another boot, and works on.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from random import Random
from typing import Any, Final, NamedTuple

import pytest
from live_nodes import World, new_world
from pairs import (
    MODES,
    PAIRS,
    Orders,
    Trails,
    is_prefix,
    kill_all,
    of_sender,
    pairs_spec,
    rises,
    settle,
    spread,
    trails,
)
from simulated_disk import LOSSES
from traced_disk import Disk, Recording, Tracing, lay_out

from engines.model import load_family
from host.live.journal.folder import Folder
from host.live.journal.recovery import recover

STATES: Final = 150
STARTS: Final = 12
FRESH: Final = 500_000
"""The first number of orders after the loss of power."""

Acknowledged = list[tuple[int, str, int]]
"""Place in the trace, mode of the sender, first number of the order."""


class Life(NamedTuple):
    """One life of a node: its disk, what it acknowledged, what receivers had at places of the trace, and at the end."""

    recording: Recording
    orders: Acknowledged
    looks: list[tuple[int, Trails]]
    last: Trails

    def sure(self, cut: int, mode: str) -> list[int]:
        """Orders that were acknowledged before a place."""
        return [first for place, one, first in self.orders if one == mode and place <= cut]

    def under_way(self, cut: int, mode: str) -> list[int]:
        """And the one that followed."""
        return [first for place, one, first in self.orders if one == mode and place > cut][:1]


class Start(NamedTuple):
    """What became of one state. `recovered`: trails and orders, of the logs; `last`: what came in the end."""

    cut: int
    recovered: dict[str, list[int]]
    orders: Orders
    last: Trails


def live(world: World, tracing: Tracing, random: Random) -> Life:
    """A node that works, with its disk traced."""
    orders, places, looks = Orders(), [], []
    with tracing.life(), world.up(pairs_spec(world)) as node:
        for step in range(40):
            mode = random.choice(MODES)
            orders.give(node.client, mode)
            places.append((tracing.now, mode, orders.sure[mode][-1]))
            if step % 5 == 0:
                seen = trails(node)
                looks.append((tracing.now, seen))
        for mode in MODES:
            orders.give(node.client, mode)
            places.append((tracing.now, mode, orders.sure[mode][-1]))
        last = settle(node, orders, more=0)
        kill_all(world, random)
    return Life(tracing.recording(), places, looks, last)


def recovered(world: World, state: dict[str, bytes | None], name: str) -> dict[str, list[int]]:
    """What the logs in a state of the disk give, by engine. Raises what `recover` does."""
    root = world.folder / name
    lay_out(state, root)
    found: dict[str, list[int]] = {}
    for folder in sorted((root / "journal").glob("*_*/")):
        log = recover(Folder(str(folder)), "test", lambda ref: load_family(ref, (str(world.roots),)), os.urandom(16))
        for engine, stream in log.replay.streams.items():
            found[engine] = numbers_of(stream.env)
    return found


def numbers_of(env: Any) -> list[int]:
    """The one tuple in the state of either family."""
    return list(getattr(env.state, "numbers", None) or getattr(env.state, "taken", ()))


def check_recovered(life: Life, cut: int, found: dict[str, list[int]]) -> None:
    """A prefix of what was done; and what was acknowledged is there, where it is durable."""
    for mode in ("crash", "durable"):
        assert is_prefix(found.get(f"to_{mode}", []), life.last[mode])
        taken = found.get(f"from_{mode}", [])
        assert is_prefix(taken, life.sure(life.recording.end, mode) + taken[-1:])
    for place, seen in life.looks:
        if place <= cut:
            assert is_prefix(seen["durable"], found.get("to_durable", []))
    assert is_prefix(life.sure(cut, "durable"), found.get("from_durable", []))


def start(world: World, tracing: Tracing, life: Life, cut: int, state: dict[str, bytes | None], name: str) -> Start:
    """A node on a state of the disk, in another boot: the order that was under way is given again, then more."""
    found = recovered(world, state, name)
    tracing.put(state)
    with tracing.life(), world.up(pairs_spec(world)) as node:
        for mode in ("crash", "durable"):
            for first in life.under_way(cut, mode):
                Orders(first % 1_000_000).give(node.client, mode)
        orders = Orders(FRESH)
        for _ in range(3):
            for mode in MODES:
                orders.give(node.client, mode)
        last = settle(node, orders)
        node.end()
    return Start(cut, found, orders, last)


class Seen(NamedTuple):
    life: Life
    starts: list[Start]


def lose_power(world: World, library: Any, states: int, starts: int, seed: int) -> Seen:
    """`states` states of one life's disk recovered, and a node started on `starts` of them."""
    random = Random(seed)
    tracing = Tracing(library, world.folder, world.folder / "test")
    life = live(world, tracing, random)
    begin = life.orders[0][0]
    cuts = sorted(random.randint(begin, life.recording.end) for _ in range(states))
    chosen = set(random.sample(range(states), starts))
    kept: list[tuple[int, dict[str, bytes | None]]] = []
    for number, (cut, disk) in enumerate(life.recording.disks(cuts)):
        state = state_of(disk, random)
        check_recovered(life, cut, recovered(world, state, f"state{number}"))
        if number in chosen:
            kept.append((cut, state))
    begun = [start(world, tracing, life, cut, state, f"start{cut}") for cut, state in kept]
    print(f"seed {seed}: {states} states recovered, {starts} nodes started, {len(life.recording.records)} calls traced")
    return Seen(life, begun)


def state_of(disk: Disk, random: Random) -> dict[str, bytes | None]:
    """All folders lose everything that is unsynced, or nothing, or each has a fate of its own."""
    return disk.after_power_loss(random, random.choice([("all",), ("none",), LOSSES, LOSSES, LOSSES]))


@pytest.fixture(scope="module")
def after_power(traced_library: Any) -> Iterator[Seen]:
    with new_world() as world:
        yield lose_power(world, traced_library, STATES, STARTS, seed=8)


@pytest.mark.storm
@pytest.mark.parametrize(("sender", "receiver"), PAIRS)
def test_power_is_lost(after_power: Seen, sender: str, receiver: str) -> None:
    """One cell of the third column."""
    check_power(after_power, sender, receiver)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(5))
def test_power_is_lost_often(world: World, traced_library: Any, seed: int) -> None:
    """All cells, on 60 states each seed, of 1,500."""
    seen = lose_power(world, traced_library, 10 * STATES, 5 * STARTS, seed)
    for pair in PAIRS:
        check_power(seen, *pair)


def check_power(seen: Seen, sender: str, receiver: str) -> None:
    """What a cell says of the loss of power."""
    for one in seen.starts:
        trail, before = one.last[receiver], one.recovered.get(f"to_{receiver}", [])
        assert of_sender(trail, sender, FRESH) == one.orders.numbers(sender), "it works on: once, in order"
        old = [number for number in of_sender(trail, sender) if number % 1_000_000 < FRESH]
        sure = spread(seen.life.sure(one.cut, sender) + seen.life.under_way(one.cut, sender))
        assert set(old) <= set(sure), "nothing is made"
        if receiver != "volatile":
            assert is_prefix(before, trail), "what was recovered stays"
        if (sender, receiver) == ("durable", "durable"):
            assert old == sure, "once, in order"
        elif sender == "durable":
            assert rises(old), "lost or once, in order"
        elif sender == "volatile":
            assert old == of_sender(before, sender), "what the receiver has, and no more"
        else:
            assert rises(of_sender(trail[len(before) :], sender)), "in order, what is sent again"
