"""A simulated node behaves as a live one, and always the same for one seed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from sim_families import (
    BOSS,
    DOUBLER,
    FICKLE,
    FLOODER,
    PAYER,
    TILL,
    Ball,
    Flood,
    Hire,
    Left,
    Paid,
    Pass,
    Pay,
    Start,
)

from engines.devices.wall_clock import ReadClock
from engines.examples.ping_pong import PLAYER, Serve
from engines.model import Device, DeviceHost, Message, Ref
from host.config.spec import GroupSpec, MailboxSpec, NodeSpec, SupervisionSpec
from host.sim import World
from host.sim.families import SimError
from host.sim.process import PLACES
from host.sim.world import Restless

UNBOUNDED = NodeSpec("test", "", "", (), supervision=SupervisionSpec(intensity=None, budget=None))
HERE = Path(__file__).resolve().parent
COUNT = 20
ALL = tuple(range(1, COUNT + 1))


def paying(mode: str, placement: str = "process", **more: object) -> World:
    """A payer that pays ALL to a till, and goes on whatever happens to it; it has its order before anything happens."""
    world = World(UNBOUNDED, **more)  # type: ignore[arg-type]
    world.add("payer", PAYER, durability=mode, placement=placement)  # type: ignore[arg-type]
    world.add("till", TILL, durability=mode, placement=placement)  # type: ignore[arg-type]
    world.faults.is_paused = True
    world.send("payer", Start(Ref("till"), COUNT))
    world.stabilize()
    world.faults.is_paused = False
    return world


def test_three_lines() -> None:
    """False if a test of one's own engines took more than a world, a message and a run."""
    world = World({"till": TILL})
    world.send("till", Pay(1), Pay(2))
    world.run()
    assert world.state("till") == Paid((1, 2))


FAULTS = "crash=0.2,reload=0.05,partition=0.05:3ms,slow=0.1:2ms,loss=0.05,duplication=0.05,reorder=0.1,delay=0..3ms"


def test_a_seed_decides_everything() -> None:
    """False if two runs with one seed differed, or two seeds gave one run."""
    first, again, other = (paying("crash", seed=seed, faults=FAULTS, trace=True) for seed in (5, 5, 6))
    for world in (first, again, other):
        world.run()
    assert first.trace == again.trace
    assert first.faults.happened == again.faults.happened
    assert first.trace != other.trace
    assert first.faults.happened


def test_no_run_depends_on_the_hash_seed() -> None:
    """False if a set or a hash somewhere decided an order."""
    code = (
        "from test_world import *\n"
        "world = paying('crash', seed=3, faults=FAULTS, trace=True)\n"
        "world.run()\n"
        "print(world.trace)"
    )
    traces = []
    for seed in ("1", "2"):
        paths = os.pathsep.join([str(HERE), str(HERE.parents[2])])
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": paths}
        done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
        traces.append(done.stdout)
    assert traces[0] == traces[1]
    assert "* crashed" in traces[0]


@pytest.mark.parametrize("placement", ["process", "one"])
@pytest.mark.parametrize("mode", ["crash", "durable"])
def test_journaled_engines_lose_and_repeat_nothing(mode: str, placement: str) -> None:
    """False if a killed process, at any place, or a reload, cost a payment or made one twice."""
    kinds: set[str] = set()
    for seed in range(12):
        world = paying(mode, placement, seed=seed, faults="crash=0.08,reload=0.05,partition=0.02:5ms,slow=0.05:2ms")
        world.run()
        assert world.state("till") == Paid(ALL), seed
        kinds |= {event.kind for event in world.events}
    assert {"kill", "crashed", "recovered", "reloaded", "journal_cut"} <= kinds


@pytest.mark.parametrize("placement", ["process", "one"])
def test_durable_engines_survive_a_loss_of_power(placement: str) -> None:
    """False if something that had left a durable engine was forgotten by it."""
    lost = 0
    for seed in range(12):
        world = paying("durable", placement, seed=seed, faults="power=0.02*3,crash=0.03")
        world.run()
        assert world.state("till") == Paid(ALL), seed
        lost += sum(event.kind == "power_lost" for event in world.events)
    assert lost > 5


@pytest.mark.storm
@pytest.mark.parametrize("mode", ["crash", "durable"])
def test_a_thousand_seeds(mode: str) -> None:
    """False if one of many more runs, with every fault that a live node may meet, lost or repeated a payment."""
    power = ",power=0.01*2" if mode == "durable" else ""
    for seed in range(1000, 1500):
        for placement in ("process", "one"):
            faults = f"crash=0.1,reload=0.05,partition=0.02:5ms,slow=0.05:2ms,delay=0..2ms{power}"
            world = paying(mode, placement, seed=seed, faults=faults)
            world.run()
            assert world.state("till") == Paid(ALL), f"{seed} {placement}"


@pytest.mark.parametrize("where", PLACES)
def test_what_each_crash_point_leaves(where: str) -> None:
    """False if a till that is killed at this place had something else than the table in `host.sim` says."""
    kept, once = World({}), World({})
    kept.add("till", TILL, durability="crash")
    once.add("till", TILL)
    for world in (kept, once):
        world.send("till", Pay(1), Pay(2))
        world.stabilize()
        world.send("till", Pay(3))
        world.crash("till", where)  # type: ignore[arg-type]
        world.run()
    assert kept.state("till") == Paid((1, 2, 3))
    came_again = where in ("run", "commit", "append", "sync", "heads")
    is_in_flight = where == "run"
    assert once.state("till") == Paid((3,) if came_again and not is_in_flight else ())
    assert [letter.reason for letter in once.dead_letters] == (["crashed"] if is_in_flight else [])


def test_a_volatile_engine_begins_again() -> None:
    """False if the state of a volatile engine outlived its process, or its birth was not counted."""
    world = World({"boss": BOSS})
    world.send("boss", Hire("clerk"))
    world.run()
    assert world.state("boss/clerk") == Paid((1,))
    world.crash("boss")
    world.run()
    assert "boss/clerk" not in world.view()
    assert world.cell("boss").configuration.birth == 2
    world.send("boss", Hire("clerk"))
    world.run()
    assert world.state("boss~2/clerk") == Paid((1,))


@pytest.mark.parametrize("mode", ["volatile", "crash"])
def test_children_in_processes_of_their_own(mode: str) -> None:
    """False if a child elsewhere lost its mail, or did not come back with its parent's log."""
    world = World(NodeSpec("test", "", "", (), spawned="process"), seed=4)
    world.add("boss", BOSS, durability=mode)  # type: ignore[arg-type]
    world.send("boss", Hire("clerk"), Pass("clerk", 2))
    world.run()
    assert world.state("boss/clerk") == Paid((1, 2))
    world.crash("boss", "show")
    world.run()
    assert world.view().engine("boss/clerk").status == ("running" if mode == "crash" else "stopped")
    if mode == "crash":
        world.lose_power()
        world.run()
        assert world.view().engine("boss").status == "running"


def test_a_view_shows_engines_timers_and_what_is_on_its_way() -> None:
    """False if a property could not see an engine that ended, one that is down, or a message in transit."""
    world = World({"boss": BOSS, "payer": PAYER, "till": TILL})
    world.send("payer", Start(Ref("till"), 2))
    world.stabilize()
    world.send("till", Pay(7))
    view = world.view()
    assert [engine.name for engine in view.engines()] == ["boss", "payer", "till"]
    assert [engine.name for engine in view.engines("till")] == ["till"]
    assert view.engine("payer").timers == ("tick",)
    assert [(one.sender, one.target, one.message) for one in view.in_transit] == [("outside", "till", Pay(7))]
    world.crash("payer")
    assert view.state("payer") == Left()
    with pytest.raises(KeyError, match="there are boss, payer, till"):
        view.engine("nobody")


def test_a_full_mailbox_stops_its_senders() -> None:
    """False if a slow receiver lost mail, or its mailbox grew far beyond its capacity."""
    world = World({}, faults="slow=till:1:1ms")
    for name in ("one", "two"):
        world.add(name, FLOODER)
    world.add("till", TILL, mailboxes={0: MailboxSpec(capacity=40)})
    for name in ("one", "two"):
        world.send(name, Flood(Ref("till"), 500))
    world.run()
    assert len(world.state("till").amounts) == 1000


def test_a_circle_of_full_mailboxes_is_relieved() -> None:
    """False if two engines that stop each other stood still for ever."""
    world = World({}, seed=2, faults="slow=1:1ms")
    for name in ("one", "two"):
        world.add(name, DOUBLER, mailboxes={0: MailboxSpec(capacity=8)})
    world.send("one", Ball(Ref("two"), 9))
    world.run()
    assert [event.kind for event in world.events].count("circle")
    assert {letter.reason for letter in world.dead_letters} <= {"deadlock"}
    total = world.state("one").count + world.state("two").count
    assert total + len(world.dead_letters) <= 2**10 - 1


@pytest.mark.parametrize(
    ("fault", "holds"),
    [
        ("loss=0.3", lambda got: len(got) < COUNT and list(got) == sorted(got)),
        ("duplication=0.3", lambda got: len(got) > COUNT and sorted(set(got)) == list(ALL)),
        ("reorder=0.5", lambda got: sorted(got) == list(ALL) and list(got) != list(ALL)),
        ("partition=1:3ms,delay=1ms..2ms", lambda got: got == ALL),
    ],
)
def test_a_network_does_what_its_fault_says(fault: str, holds: object) -> None:
    """False if a fault of the network did nothing, or more than it says."""
    world = World({"payer": PAYER, "till": TILL}, seed=1, faults=fault)
    world.send("payer", Start(Ref("till"), COUNT))
    world.run()
    while world.state("payer") == Left():  # the order was lost, too
        world.send("payer", Start(Ref("till"), COUNT))
        world.run()
    assert callable(holds)
    assert holds(world.state("till").amounts), world.state("till")


@pytest.mark.parametrize("mode", ["crash", "durable"])
def test_a_network_repeats_nothing_that_a_recovered_sender_sends_again(mode: str) -> None:
    """False if a message that left twice, before and after a crash, passed the network twice."""
    for seed in range(10):
        world = paying(mode, seed=seed, faults="crash=0.1,reorder=0.1")
        world.run()
        assert sorted(world.state("till").amounts) == list(ALL), seed


def test_a_group_restarts_together() -> None:
    """False if `one_for_all` left a neighbour running, whose peers had begun again."""
    group = GroupSpec("pair", "one_for_all", ("one", "two"), 10, 120_000_000_000)
    world = World(NodeSpec("test", "", "", (), supervision=SupervisionSpec(groups=(group,))))
    world.add("one", TILL)
    world.add("two", TILL)
    world.send("one", Pay(1))
    world.send("two", Pay(1))
    world.run()
    world.crash("one")
    world.run()
    assert [world.cell(name).configuration.birth for name in ("one", "two")] == [2, 2]
    assert "recalled" in {event.kind for event in world.events}


def test_a_process_that_dies_too_often_is_degraded() -> None:
    """False if the limits of restarts did not hold here."""
    world = World({"till": TILL})
    for _ in range(11):
        world.crash("till")
        world.run()
    assert [event.kind for event in world.events][-1] == "degraded"


def test_a_state_that_is_no_function_of_its_triggers_is_found() -> None:
    """False if an engine with a hidden global came back with another state, and nobody heard of it."""
    world = World({})
    world.add("fickle", FICKLE, durability="crash")
    for amount in range(40):
        world.send("fickle", Pay(amount))
        world.stabilize()
    world.crash("fickle")
    world.run()
    assert "diverged" in {event.kind for event in world.events}


def test_devices_are_their_twins() -> None:
    """False if a device ran its driver in a simulation, or its twin did not read the virtual clock."""
    world = World()
    world.add("clock", "engines.devices.wall_clock:CLOCK")
    world.run("3s")
    world.send("clock", ReadClock(Ref("outside")))
    world.run()
    [reading] = world.received()
    assert 0 <= world.now_ns - reading.wall_ns < 1_000_000


class Buzz(Message):
    """For a device without a twin."""


class Buzzer:
    """A driver that must not run."""

    async def run(self, host: DeviceHost) -> None:
        raise AssertionError("a driver was run")


BUZZER = Device("buzzer", accepts=Buzz, driver=Buzzer)


def test_what_cannot_be_simulated_is_refused_with_advice() -> None:
    """False if a mistake in a world came as a traceback from within, or was run in spite of it."""
    with pytest.raises(SimError, match="declare one with"):
        World({"buzzer": BUZZER}).run()
    with pytest.raises(SimError, match="there are till"):
        World({"till": TILL}).send_text("tell", "Pay")
    with pytest.raises(SimError, match="did you mean `Pay`"):
        World({"till": TILL}).send_text("till", "Pey")
    with pytest.raises(SimError, match="amount"):
        World({"till": TILL}).send_text("till", "Pay", "amount=much")
    world = World({"till": TILL})
    world.run()
    with pytest.raises(SimError, match="before the first"):
        world.add("more", TILL)


def test_work_without_end_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """False if engines that never rest made a run without a duration last for ever."""
    monkeypatch.setattr("host.sim.world.STEPS_MAX", 500)
    world = World({"ann": PLAYER, "ben": PLAYER})
    world.send("ann", Serve(Ref("ben"), 1_000_000))
    with pytest.raises(Restless, match="give a duration"):
        world.run()
