"""A node under steady work, deaths, reloads, births and questions: what it holds does not grow."""

from __future__ import annotations

import os
import random
import signal
import time
from contextlib import suppress
from statistics import median
from typing import Any, NamedTuple

import psutil
import pytest
from deadline import DEADLINE_NS
from live_nodes import LiveNode, World, counter, until

from host.config.spec import EngineSpec, SupervisionSpec

FREE = SupervisionSpec(intensity=None, budget=None, backoff_ns=0)
STEP_S = 1.0
GROWTH_BYTES = 1 << 20
GROWTH_SHARE = 0.03
TRANSIENT = 8
"""Descriptors of a recovery or a snapshot, which a look may meet or not."""
VICTIMS = ("source", "stage", "end")


class Held(NamedTuple):
    """Medians, since a process that recovers or writes a snapshot holds more for a moment; and the most descriptors."""

    private_bytes: int
    descriptors: int
    descriptors_most: int


class Samples:
    """Private bytes and descriptors of each role, one row a step."""

    def __init__(self) -> None:
        self.rows: list[dict[str, tuple[int, int]]] = []

    def take(self, node: LiveNode) -> None:
        """Look at the supervisor, its zygote, and every engine's process."""
        roles = {"supervisor": node.pid}
        roles |= {name: item["pid"] for name, item in node.ps().items() if item["pid"] and "/" not in name}
        row = {}
        for role, pid in roles.items():
            with suppress(psutil.Error):
                process = psutil.Process(pid)
                row[role] = (process.memory_full_info().uss, process.num_fds())
        self.rows.append(row)

    def between(self, start: float, end: float) -> dict[str, Held]:
        """What each role held between two shares of the time."""
        rows = self.rows[int(start * len(self.rows)) : int(end * len(self.rows))]
        found = {role: [row[role] for row in rows if role in row] for role in {role for row in rows for role in row}}
        return {role: _held(*zip(*taken, strict=True)) for role, taken in found.items()}


def _held(sizes: tuple[int, ...], descriptors: tuple[int, ...]) -> Held:
    return Held(int(median(sizes)), int(median(descriptors)), max(descriptors))


def soak(world: World, seconds: float, kill_every: int, seed: int) -> Samples:
    """Run the node for so long; each `kill_every` steps a kill, and a reload. What came at its end is what was sent."""
    engines = (
        EngineSpec("source", "soaking:SOURCE", {"next": "stage"}, durability="crash"),
        EngineSpec("stage", "soaking:STAGE", {"next": "end"}, durability="durable"),
        EngineSpec("end", "soaking:END", durability="crash"),
        EngineSpec("breeder", "soaking:BREEDER"),
        counter("count"),
    )
    chance, samples = random.Random(seed), Samples()
    with world.up(world.spec(*engines, supervision=FREE)) as node:
        for name in ("source", "breeder"):
            node.send(name, "Begin")
        ends = time.monotonic() + seconds
        for step in range(1, 1_000_000):
            _disturb(node, step, kill_every, chance)
            samples.take(node)
            until(lambda step=step: time.monotonic() >= ends - seconds + step * STEP_S, "the next step", STEP_S + 5)
            if time.monotonic() >= ends:
                break
        sent = _count(node, "source")
        came = until(lambda: (c := _came(node)) and c["got"] >= sent and c, "what was sent", 30)
        assert came["wrong"] == 0
        print(
            f"{came['got']} messages, {len(samples.rows)} steps, {node.ps()['stage']['restarts']} deaths of the stage"
        )
    return samples


def _disturb(node: LiveNode, step: int, kill_every: int, chance: random.Random) -> None:
    node.send("count", "Add")
    node.ask("events", limit=10)
    if step % kill_every == kill_every // 2:
        node.ask("reload", engine="count", to="", timeout_ns=DEADLINE_NS)
    if step % kill_every == 0:
        with suppress(ProcessLookupError):
            os.kill(node.ps()[chance.choice(VICTIMS)]["pid"], signal.SIGKILL)


def _count(node: LiveNode, engine: str) -> int:
    state: dict[str, Any] = until(lambda: node.ask("state", engine=engine)[0]["state"], f"the state of {engine}")
    return int(state["count"])


def _came(node: LiveNode) -> dict[str, Any]:
    found: dict[str, Any] = node.send("end", "Tell", wait="Came")
    return found


@pytest.mark.storm
def test_a_node_that_is_disturbed_loses_nothing(world: World) -> None:
    """False if steady work with deaths and reloads lost or doubled a message, or a descriptor were lost each time."""
    samples = soak(world, 15.0, 3, seed=3)
    early, late = samples.between(0.3, 0.6), samples.between(0.6, 1.0)
    assert {role: held for role, held in late.items() if held.descriptors > early[role].descriptors + 2} == {}


@pytest.mark.long
def test_half_an_hour_leaves_memory_and_descriptors_flat(world: World) -> None:
    """False if any process of the node held more in the last third of half an hour than in the one before."""
    samples = soak(world, 1800.0, 20, seed=5)
    before, after = samples.between(1 / 3, 2 / 3), samples.between(2 / 3, 1.0)
    for role in sorted(after):
        print(f"{role}: {before[role]}, then {after[role]}")
    grown = {role: (before[role], held) for role, held in after.items() if _has_grown(before[role], held)}
    assert grown == {}


def _has_grown(before: Held, after: Held) -> bool:
    return (
        after.private_bytes > before.private_bytes * (1 + GROWTH_SHARE) + GROWTH_BYTES
        or after.descriptors > before.descriptors
        or after.descriptors_most > before.descriptors_most + TRANSIENT
    )
