"""The node files of `configs` with durabilities, placements, groups and faults by chance: the host withstands it."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest
from msgspec.structs import replace

from host.config.load import load_node
from host.config.spec import EngineSpec, GroupSpec, NodeSpec, Placement, SupervisionSpec
from host.sim import World
from host.sim.script import parse_script, perform

CONFIGS = Path(__file__).resolve().parents[3] / "configs"
SENDS = {
    "timestamping": (
        'alice Submit hashes=["0x0a","0x0b","0x0c"] server=server destination=bob',
        "server TimeStampRequest hash=0x01 destination=bob",
    ),
    "greeting": ("john Greet whom=alice", "john Greet whom=nobody"),
    "voting": ("voter.1 Elect candidate=tea poll=drinks", "voter.2 Elect candidate=coffee poll=drinks"),
    "ticker_continuation": ("drummer Beat times=103 ticker=ticker",),
    "broadcast": ("first Announce",),
    "ping_pong": ("ann Serve opponent=ben turns=30",),
    "causal": ("posts Post name=m1", 'posts Post name=m2 needs=["m3"]', "posts Post name=m3"),
    "dice": ("dice Bet stake=10 side=6",),
    "devices": ("clock ReadClock", "journal WriteLine text=hello"),
}
FAULTS = (
    "crash=0.1",
    "reload=0.1",
    "partition=0.05:4ms",
    "slow=0.1:3ms",
    "node=0.02*2",
    "power=0.02*2",
    "loss=0.1",
    "duplication=0.1",
    "reorder=0.2",
)
PLACEMENTS = (Placement("process"), Placement("group", "shared"), Placement("one"))
SECONDS_NS = 20_000_000_000


def random_world(seed: int) -> World:
    """A node of one of the files, with the rest drawn by chance."""
    draw = Random(seed)
    name = draw.choice(sorted(SENDS))
    spec = load_node(CONFIGS / f"{name}.yaml")
    engines = tuple(_random_engine(engine, draw, has_devices=name == "devices") for engine in spec.engines)
    spec = replace(spec, engines=engines, spawned=draw.choice(("parent", "process")))
    faults = [fault for fault in FAULTS if draw.random() < 0.5]
    world = World(_supervised(spec, draw), seed=seed, faults=",".join(faults))
    for text in SENDS[name]:
        perform(world, parse_script(f"send {text}")[0])
    return world


def _random_engine(engine: EngineSpec, draw: Random, *, has_devices: bool) -> EngineSpec:
    durability = "volatile" if has_devices else draw.choice(("volatile", "crash", "durable"))
    restart = draw.choice(("permanent", "permanent", "transient", "temporary"))
    child = replace(engine.child, restart=restart)
    return replace(engine, durability=durability, placement=draw.choice(PLACEMENTS), child=child)


def _supervised(spec: NodeSpec, draw: Random) -> NodeSpec:
    alone = tuple(engine.name for engine in spec.engines if engine.placement.kind == "process")
    strategy = draw.choice(("one_for_one", "one_for_all", "rest_for_one"))
    groups = (GroupSpec("team", strategy, alone, 5, SECONDS_NS),) if len(alone) > 1 and draw.random() < 0.5 else ()
    return replace(spec, supervision=SupervisionSpec(intensity=draw.choice((None, 3)), budget=None, groups=groups))


def run(seeds: range) -> None:
    """Every run ends, and no stream of a sender has a hole that no fault explains."""
    for seed in seeds:
        world = random_world(seed)
        world.run(SECONDS_NS)
        kinds = {event.kind for event in world.events}
        assert "diverged" not in kinds, seed
        if not world.faults.plan.rates.keys() & {"power"}:
            assert "gap" not in kinds, seed


def test_random_nodes() -> None:
    """False if a node stood still, something in the host raised, or mail was missing without a loss of power."""
    run(range(50))


@pytest.mark.storm
def test_many_random_nodes() -> None:
    """The same, over many more."""
    run(range(1_000, 4_000))
