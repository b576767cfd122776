"""Every cell of the table in `docs/guarantees.md`: sender mode by receiver mode, where processes die.

All nine pairs are on one node, which lives through one run for each column; each case then looks at one cell of what
that run has seen. False if a cell promised more than is kept, or kept less than the table says. Loss of power is in
`test_guarantees_without_power.py`.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from itertools import chain, pairwise
from random import Random
from typing import Final

import pytest
from live_nodes import LiveNode, World, new_world, until
from pairs import COUNT, MODES, PAIRS, Orders, Work, is_prefix, kill_all, of_sender, pairs_spec, rises, settle, trail

KILLS: Final = 10
LIVES: Final = 6
ORDERS_LOST_MAX: Final = 2
"""That one death of a volatile sender may take: the one it had handled, whose messages had not left; and the next."""

PHASES: Final = {
    "receivers": [f"to_{mode}" for mode in MODES],
    "senders": [f"from_{mode}" for mode in MODES],
    "any": [f"{end}_{mode}" for end in ("from", "to") for mode in MODES],
}


class Seen:
    """What a run has seen. `looks`: what receivers had before each of their deaths and at the end."""

    def __init__(self, orders: Orders) -> None:
        self.orders = orders
        self.victims: list[str] = []
        self.crashed: list[str] = []
        self.looks: dict[str, list[list[int]]] = {mode: [] for mode in MODES}
        self.begun: list[dict[str, int]] = []

    def look(self, node: LiveNode, mode: str) -> None:
        """At one receiver."""
        self.looks[mode].append(trail(node, mode))

    def end(self, node: LiveNode) -> None:
        """The last look at each, once all is there that comes."""
        for mode, last in settle(node, self.orders).items():
            self.looks[mode].append(last)
        self.crashed = [event["engine"] for event in node.events("crashed")]

    def lives(self, sender: str, receiver: str) -> list[list[int]]:
        """The numbers of a pair in each life of a volatile receiver; a journaled one has one life."""
        looks = self.looks[receiver] if receiver == "volatile" else self.looks[receiver][-1:]
        return [of_sender(look, sender, self.orders.first) for look in looks]


def seen_of_kills(world: World, kills: int, seed: int) -> dict[str, Seen]:
    """A node of which single processes are killed while all pairs work: receivers, then senders, then any."""
    random, found = Random(seed), {}
    with world.up(pairs_spec(world)) as node:
        for number, (phase, victims) in enumerate(PHASES.items()):
            seen = found[phase] = Seen(Orders(1 + 100_000 * number))
            work = Work(node, seen.orders, seed + number)
            work.start()
            while len(seen.victims) < kills * len(victims) // 3:
                kill(node, seen, random.choice(victims), random)
            work.end()
            seen.end(node)
            print(f"{phase}: {len(seen.victims)} kills, {[len(seen.orders.asked(mode)) for mode in MODES]} messages")
    return found


def kill(node: LiveNode, seen: Seen, victim: str, random: Random) -> None:
    """One process, some milliseconds after a look at what it has, if it is a receiver."""
    end, mode = victim.split("_")
    if end == "to":
        seen.look(node, mode)
    for _ in range(random.randint(1, 8)):
        pid = until(lambda: node.ps()[victim]["pid"], f"the process of {victim}")
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
        seen.victims.append(victim)


def seen_of_nodes(world: World, lives: int, seed: int) -> Seen:
    """A node all of whose processes are killed while all pairs work, and that is started again each time."""
    random, seen, spec = Random(seed), Seen(Orders()), pairs_spec(world)
    for life in range(lives):
        seen.begun.append({mode: seen.orders.next(mode) for mode in MODES})
        with world.up(spec) as node:
            work = Work(node, seen.orders, seed + life)
            work.start()
            until(lambda: seen.orders.count >= 30 * (life + 1), "thirty orders more")  # noqa: B023
            for mode in MODES:
                seen.look(node, mode)
            kill_all(world, random)
            work.end()
    seen.begun.append({mode: seen.orders.next(mode) for mode in MODES})
    with world.up(spec) as node:
        seen.end(node)
    print(f"{lives} lives, {[len(seen.orders.asked(mode)) for mode in MODES]} messages")
    return seen


@pytest.fixture(scope="module")
def after_kills() -> Iterator[dict[str, Seen]]:
    with new_world() as world:
        yield seen_of_kills(world, KILLS, seed=5)


@pytest.fixture(scope="module")
def after_lives() -> Iterator[Seen]:
    with new_world() as world:
        yield seen_of_nodes(world, LIVES, seed=6)


@pytest.mark.storm
@pytest.mark.parametrize(("sender", "receiver"), PAIRS)
def test_a_process_is_killed(after_kills: dict[str, Seen], sender: str, receiver: str) -> None:
    """One cell of the first column."""
    check_kills(after_kills, sender, receiver)


@pytest.mark.storm
@pytest.mark.parametrize(("sender", "receiver"), PAIRS)
def test_all_processes_are_killed(after_lives: Seen, sender: str, receiver: str) -> None:
    """One cell of the second column."""
    check_lives(after_lives, sender, receiver)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(5))
def test_many_are_killed(world: World, seed: int) -> None:
    """Both columns, with hundreds of kills."""
    found = seen_of_kills(world, 10 * KILLS, seed)
    for pair in PAIRS:
        check_kills(found, *pair)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(5))
def test_many_lives(world: World, seed: int) -> None:
    """The second column, over many lives of a node."""
    seen = seen_of_nodes(world, 5 * LIVES, seed)
    for pair in PAIRS:
        check_lives(seen, *pair)


def check_kills(found: dict[str, Seen], sender: str, receiver: str) -> None:
    """What a cell says of the death of single processes."""
    for phase, seen in found.items():
        check_any(seen, sender, receiver)
        (*_, last) = lives = seen.lives(sender, receiver)
        sent = seen.orders.numbers(sender)
        is_receiver_killed = f"to_{receiver}" in seen.victims
        if "volatile" not in (sender, receiver) or (receiver != "volatile" and phase == "receivers"):
            assert last == sent, "once, in order"
        elif sender != "volatile" and not is_receiver_killed:
            assert last == sent, "once, in order, as long as the receiver lives"
        elif sender == "volatile":
            assert rises([*chain(*lives)] if receiver != "volatile" else new_of_each(lives)), "at most once"
        if receiver != "volatile" and sender == "volatile":
            lost = {number // COUNT for number in set(seen.orders.numbers(sender)) - set(last)}
            assert len(lost) <= ORDERS_LOST_MAX * seen.victims.count("from_volatile")
        assert set(seen.victims) <= set(seen.crashed), "deaths are told"


def check_lives(seen: Seen, sender: str, receiver: str) -> None:
    """What a cell says of the death of all processes."""
    check_any(seen, sender, receiver)
    (*_, last) = lives = seen.lives(sender, receiver)
    latest = seen.begun[-1][sender]
    since = [number for number in seen.orders.numbers(sender) if number >= latest]
    assert [number for number in last if number >= latest] == since, "what is sent after a start: once, in order"
    if receiver == "volatile":
        if sender == "volatile":
            for numbers, begun in zip(lives, seen.begun, strict=True):
                assert all(number >= begun[sender] for number in numbers), "lost with the state"
    elif sender == "volatile":
        lost = {number // COUNT for number in set(seen.orders.numbers(sender)) - set(last)}
        assert len(lost) <= ORDERS_LOST_MAX * (len(seen.begun) - 1)
    else:
        assert last == seen.orders.numbers(sender), "once, in order"


def check_any(seen: Seen, sender: str, receiver: str) -> None:
    """What holds everywhere: order, no repeats in a life, nothing that was not sent; and what is journaled is kept."""
    for numbers in seen.lives(sender, receiver):
        assert rises(numbers)
        assert set(numbers) <= set(seen.orders.asked(sender))
    if receiver != "volatile":
        for before, after in pairwise(seen.looks[receiver]):
            assert is_prefix(before, after), "kept"


def new_of_each(lives: list[list[int]]) -> list[int]:
    """What was new at each look; two looks may have seen the same life."""
    found: list[int] = []
    for before, after in pairwise([[], *lives]):
        found += after[len(before) :] if before and is_prefix(before, after) else after
    return found
