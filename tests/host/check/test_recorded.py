"""Ways through systems as journals: what the rules of a replay make of them is what the checker said."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from engines.model import encode, load_family
from engines.model.store.load import load_object
from engines.model.system import System
from host.check.local import Engines
from host.check.recorded import record
from host.check.space import Space, Successor
from host.check.trace import Trace
from host.live.journal.conformance import conformance
from host.live.journal.data_folder import find_logs
from host.live.journal.new_logs import NewLogs
from host.live.journal.replays import states

HERE = (str(Path(__file__).parent),)
"""The code root of `tables`."""

SYSTEMS = (
    "engines.examples.time_stamping_system:SYSTEM",
    "engines.protocols.abd_register:SYSTEM",
    "engines.protocols.alternating_bit:SYSTEM",
    "engines.protocols.paxos:SYSTEM",
    "engines.protocols.raft_election:SYSTEM",
    "engines.protocols.two_phase_commit:SYSTEM",
)

STEPS = 25
STORM = pytest.mark.storm


def random_way(space: Space, seed: int) -> Trace:
    """Steps from the first state on, by chance."""
    chance, state, steps = random.Random(seed), space.initial, list[Successor]()
    while len(steps) < STEPS and (possible := [*space.successors(state)]):
        step = chance.choice(possible)
        steps.append(step)
        state = step.state
    return Trace(space.initial, tuple(steps))


def recorded(system: System, seed: int, folder: Path, faults: int = 0) -> tuple[dict[str, Any], dict[str, Any]]:
    """The states of the engines that live at the end of a way by chance, as checked and as replayed.

    The record conforms to the rules of all engines together, and every digest in it is that of the replay.
    """
    space = Space(system, Engines(system.timers, tuple(system.ticks_ns), load_family, until_ns=system.until_ns), faults)
    way = random_way(space, seed)
    data = str(folder / f"{system.name}-{seed}")
    with NewLogs(data, system.name, HERE, lambda: system.clock_ns) as made:
        record(space, way, made.open)
        made.finish()
    logs = find_logs(data)
    (verdict,) = conformance(logs.folders, logs.node.node, HERE, None)
    assert verdict["deviation"] is None
    items = [
        one for path in logs.folders.values() for one in states(path, logs.node.node, HERE, None, None, verify=True)
    ]
    last = space.view(way.steps[-1].state if way.steps else space.initial).engines()
    living = {one.name: msgspec.msgpack.decode(encode(one.state)) for one in last if one.status != "stopped"}
    return living, {one["engine"]: one["state"] for one in items if one["engine"] in living}


@pytest.mark.parametrize("seed", [*range(5), *(pytest.param(seed, marks=STORM) for seed in range(5, 20))])
def test_a_way_through_a_random_system_is_replayed(seed: int, tmp_path: Path) -> None:
    """False if a log of a way by chance were not what a live node writes, or ended in other states."""
    random_system: Any = load_object("tables:random_system", HERE)
    checked, replayed = recorded(random_system(seed, "ordered"), seed, tmp_path)
    assert replayed == checked


@pytest.mark.parametrize("path", SYSTEMS)
@pytest.mark.parametrize("seeds", [range(1), pytest.param(range(1, 5), marks=STORM)], ids=str)
def test_a_way_through_a_protocol_is_replayed(path: str, seeds: range, tmp_path: Path) -> None:
    """False if timers, dice, ends or node faults were written in another way than a replay reads them."""
    system: Any = load_object(path)
    for seed in seeds:
        checked, replayed = recorded(replace(system(), network="ordered"), seed, tmp_path, faults=1 - seed % 2)
        assert replayed == checked
