"""The table of `docs/guarantees.md`, cell by cell, over seeds: what a payer's payments come to when something dies."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise, product

import pytest
from sim_families import PAYER, TILL, Paid, Start

from engines.model import Ref
from host.config.spec import NodeSpec, SupervisionSpec
from host.sim import World

COUNT = 15
ALL = tuple(range(1, COUNT + 1))
SEEDS = [4, pytest.param(8, marks=pytest.mark.storm)]
MODES = ("volatile", "crash", "durable")
UNBOUNDED = NodeSpec("test", "", "", (), supervision=SupervisionSpec(intensity=None, budget=None))
Holds = Callable[[tuple[int, ...]], bool]


def once(got: tuple[int, ...]) -> bool:
    """Each payment exactly once, in order."""
    return got == ALL


def at_most_once(got: tuple[int, ...]) -> bool:
    """No payment twice, and none before an earlier one."""
    return all(one < other for one, other in pairwise(got))


def again_in_order(got: tuple[int, ...]) -> bool:
    """None is missing before the last one; what came again did so from an earlier place on."""
    return set(got) == set(ALL[: max(got, default=0)]) and all(other <= one + 1 for one, other in pairwise(got))


def anything(got: tuple[int, ...]) -> bool:
    """Payments that were made."""
    return set(got) <= set(ALL)


def promise(sender: str, receiver: str, dies: str) -> Holds:
    """What the table promises for a pair of modes."""
    match sender, receiver, dies:
        case ("volatile", _, "sender" | "power"):
            return at_most_once
        case ("volatile", _, "node"):
            return at_most_once
        case (_, "volatile", "receiver" | "node" | "power"):
            return at_most_once if dies == "receiver" else anything
        case (_, _, "sender" | "receiver" | "node") | ("durable", "durable", "power"):
            return once
        case ("durable", "crash", "power"):
            return at_most_once
        case ("crash", "durable", "power"):
            return again_in_order
        case _:
            return anything


@pytest.mark.parametrize(
    ("sender", "receiver"), list(product(MODES, MODES)), ids=[f"{one}-{other}" for one, other in product(MODES, MODES)]
)
@pytest.mark.parametrize("dies", ["sender", "receiver", "node", "power"])
@pytest.mark.parametrize("seeds", SEEDS)
def test_a_cell(sender: str, receiver: str, dies: str, seeds: int) -> None:
    """False if a payment was lost, repeated or overtaken where the table says it is not."""
    faults = {"sender": "crash=payer:0.15", "receiver": "crash=till:0.15"}
    fault = faults.get(dies, f"{dies}=0.05*3")
    holds = promise(sender, receiver, dies)
    deaths = 0
    for seed in range(seeds):
        world = World(UNBOUNDED, seed=seed, faults=f"{fault},delay=0..2ms")
        world.add("payer", PAYER, durability=sender)  # type: ignore[arg-type]
        world.add("till", TILL, durability=receiver)  # type: ignore[arg-type]
        world.faults.is_paused = True  # the order itself comes from outside, which is volatile
        world.send("payer", Start(Ref("till"), COUNT))
        world.stabilize()
        world.faults.is_paused = False
        world.run()
        paid = world.state("till")
        assert isinstance(paid, Paid)
        assert holds(paid.amounts), f"seed {seed}: {paid.amounts}"
        deaths += len(world.faults.happened)
    assert deaths >= seeds // 2


def test_a_crash_log_is_cut_where_a_durable_one_is_not() -> None:
    """False if a loss of power cost a log in `crash` mode nothing: then the disk would not be simulated."""
    lost = 0
    for seed in range(40):
        world = World(UNBOUNDED, seed=seed, faults="power=0.1*2")
        world.add("payer", PAYER, durability="durable")
        world.add("till", TILL, durability="crash")
        world.send("payer", Start(Ref("till"), COUNT))
        world.run()
        lost += world.state("till").amounts != ALL
    assert lost
