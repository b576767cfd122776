"""Small mailboxes, random ways between engines, and processes that are killed, stopped and exchanged: all goes on."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from random import Random

import pytest
from deadline import DEADLINE_NS
from live_nodes import LiveNode, World, until

from host.config.spec import EngineSpec, MailboxSpec, Placement, SupervisionSpec, TransportSpec
from host.live.control.client import ControlError
from transport.native import native_available

FREE = SupervisionSpec(intensity=None, backoff_ns=0, budget=None)
LOCALS = ["zmq", *(["lane"] if native_available() else [])]
STORM_S = 2.0
LONG_S = 6.0
LONG_SEEDS = range(1, 26)
REST_S = 60.0


def ways(random: Random, durability: str) -> list[EngineSpec]:
    """Engines that hand on what they get, mostly in a ring; some share a process."""
    names = [f"e{number}" for number in range(random.randint(3, 6))]
    engines = []
    for number, name in enumerate(names):
        others = [other for other in names if other != name]
        to = random.choice(others) if random.random() < 0.4 else names[(number + 1) % len(names)]
        group = random.choice(["", "", "one", "two"])
        params = {"next": to, "take_ms": random.choice([0, 0, 0.2]), "copies": 1}
        boxes = {0: MailboxSpec(capacity=random.choice([4, 8, 64]))}
        placement = Placement("group", group) if group else Placement()
        mode = random.choice(["volatile", "crash", "durable"]) if durability == "mixed" else "volatile"
        spec = EngineSpec(name, "circling:RELAY", params, mailboxes=boxes, placement=placement, durability=mode)
        engines.append(spec)
    return engines


def pour(node: LiveNode, random: Random, name: str) -> None:
    fields = {"count": ["json", random.choice([1, 5, 20, 80])], "left": ["json", random.choice([0, 3, 8])]}
    node.ask("send", engine=name, tag="Pour", fields=fields, timeout_ns=300_000_000)


def stumble(node: LiveNode, random: Random, name: str) -> None:
    """Stop a process for a while, after which it goes on or is killed."""
    pid = node.ps()[name]["pid"]
    if pid:
        os.kill(pid, signal.SIGSTOP)
        with suppress(ControlError):
            pour(node, random, name)
        os.kill(pid, random.choice([signal.SIGCONT, signal.SIGKILL]))


def kill(node: LiveNode, name: str) -> None:
    pid = node.ps()[name]["pid"]
    if pid:
        os.kill(pid, signal.SIGKILL)


def storm(node: LiveNode, random: Random, names: list[str], storm_s: float) -> None:
    """What a busy node may refuse is refused."""
    end_s = time.monotonic() + storm_s
    while time.monotonic() < end_s:
        name, what = random.choice(names), random.random()
        with suppress(ControlError, ProcessLookupError):
            if what < 0.6:
                pour(node, random, name)
            elif what < 0.8:
                kill(node, name)
            elif what < 0.9:
                stumble(node, random, name)
            else:
                node.ask("reload", engine=name, timeout_ns=DEADLINE_NS)


def at_rest(node: LiveNode, names: list[str]) -> bool:
    items = node.ps()
    return all(items[name]["state"] == "running" and not items[name]["mailbox_depth"] for name in names)


def seen(node: LiveNode, name: str) -> int:
    return int(node.ask("state", engine=name)[0]["state"]["seen"])


def check_all_goes_on(world: World, local: str, durability: str, seed: int, storm_s: float) -> None:
    random = Random(f"{seed} {local} {durability}")
    engines = ways(random, durability)
    names = [spec.name for spec in engines]
    with world.up(world.spec(*engines, supervision=FREE, transport=TransportSpec(local=local))) as node:
        storm(node, random, names, storm_s)
        until(lambda: at_rest(node, names), f"rest after storm {seed} of {engines}", within_s=REST_S)
        for spec in engines:
            to = spec.params["next"]
            before = seen(node, to)
            node.send(spec.name, "Pour", count=1, left=0)
            until(lambda to=to, before=before: seen(node, to) > before, f"a message from {spec.name} to {to}")


@pytest.mark.storm
@pytest.mark.parametrize("durability", ["volatile", "mixed"])
@pytest.mark.parametrize("local", LOCALS)
def test_a_storm_comes_to_rest(world: World, local: str, durability: str) -> None:
    """False if somebody waited for a word that nobody gives any more: it would stand still for ever."""
    check_all_goes_on(world, local, durability, 0, STORM_S)


@pytest.mark.long
@pytest.mark.parametrize("seed", LONG_SEEDS)
@pytest.mark.parametrize("durability", ["volatile", "mixed"])
@pytest.mark.parametrize("local", LOCALS)
def test_many_storms_come_to_rest(world: World, local: str, durability: str, seed: int) -> None:
    """As above, with other ways and other luck."""
    check_all_goes_on(world, local, durability, seed, LONG_S)
