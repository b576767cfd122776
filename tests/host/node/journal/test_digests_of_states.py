"""Digests of states: when they are written, and that they do not depend on the hash seed."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import closing
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

from hypothesis import example, given
from hypothesis import strategies as st

from engines.examples.ticker import TICKER
from engines.model import Configuration, birth
from host.live.journal.tending import Tending
from host.node.cell import Cell, new_cell
from host.node.journal.records import StateDigest
from host.node.journal.state_digest import BURST_NS, HEAVY_NS, SHARE, DigestWriter

if TYPE_CHECKING:
    from host.live.journal.writer import Journal


class Costs:
    """A clock, and a cell whose look costs what it is told."""

    def __init__(self) -> None:
        self.now_ns = 0
        self.cost_ns = 0
        self.spent_ns = 0
        self.written: list[tuple[str, Any]] = []
        me = Configuration[Any]("node", "t", None, None)
        self._cell = new_cell(TICKER, me, birth(TICKER, me, now_ns=0), {})

    def __call__(self) -> int:
        return self.now_ns

    def cell(self, name: str) -> Cell | None:
        self.now_ns += self.cost_ns
        self.spent_ns += self.cost_ns
        return None if name == "gone" else self._cell

    def record(self, name: str, body: Any) -> None:
        self.written.append((name, body))


class Beside:
    """What `Tending` asks of a writer: its log is there, and nothing is appended."""

    position = 0

    def __init__(self, changed: dict[str, None]) -> None:
        self.batch = SimpleNamespace(changed=changed)

    def check_there(self) -> None:
        """It is."""


@given(st.lists(st.tuples(st.integers(1, 300_000), st.integers(0, 2_000_000), st.integers(1, 40)), max_size=200))
@example([(300_000, 25_000_000, 40)] * 40)
def test_digests_take_their_share_of_the_time_and_no_more(cycles: list[tuple[int, int, int]]) -> None:
    """False if digests ever cost more than their share, but for those of one burst at the begin."""
    costs, changed = Costs(), dict[str, None]()
    writer = DigestWriter(changed, costs.cell, costs.record, costs)
    tending = Tending(cast("Journal", Beside(changed)), writer, costs)
    with closing(tending.alarm):
        for cost_ns, pause_ns, engines in cycles:
            costs.cost_ns = cost_ns
            costs.now_ns += pause_ns
            changed.update(dict.fromkeys(str(n) for n in range(engines)))
            if tending.is_resting:
                tending.stir()
            tending.tend()
    assert costs.spent_ns <= costs.now_ns / SHARE + BURST_NS + 300_000


def test_each_engine_gets_its_turn_and_an_idle_slot_one_at_once() -> None:
    """False if an engine that changes in every cycle kept another one from its digest."""
    costs, changed = Costs(), dict[str, None]()
    writer = DigestWriter(changed, costs.cell, costs.record, costs)
    costs.cost_ns = BURST_NS
    for _ in range(6):
        changed.update({"a": None, "b": None, "c": None})
        writer.write_some()
    assert [name for name, _ in costs.written] == ["a", "b", "c", "a", "b", "c"]
    assert {type(body) for _, body in costs.written} == {StateDigest}


def test_a_heavy_state_waits_for_the_stop_and_an_engine_that_is_gone_for_nothing() -> None:
    """False if a state whose digest takes long held up one cycle after the other, or were left out at the stop."""
    costs, changed = Costs(), dict[str, None]()
    writer = DigestWriter(changed, costs.cell, costs.record, costs)
    costs.cost_ns = HEAVY_NS + 1
    for _ in range(3):
        changed.update({"large": None, "gone": None})
        writer.write_some()
    assert [name for name, _ in costs.written] == ["large"]
    writer.write_all()
    assert [name for name, _ in costs.written] == ["large", "large"]


SCRIPT = """
from typing import Any, Never
from engines.model import (Arrived, Become, Committed, Configuration, Delivery, Effects, Elapsed, Family, Handle, Map,
                           Message, Ref, SetTimer, Timer, Value, birth, rule, step)
from host.node.set_aside import environment_digest

class Put(Message):
    key: str
    to: Ref[Any]

class Held(Value):
    of: Map[str, int] = Map()

A, B = Timer("a"), Timer("b")

@rule
def put(m: Put, t: Arrived[Put, None, Held]) -> Effects[Held, Any]:
    return [Become(Held(t.env.state.of.set(m.key, len(m.key)))), SetTimer(A, after_ns=5), SetTimer(B, after_ns=6)]

@rule(timer=A)
def a(handle: Handle, t: Elapsed[None, Held]) -> Effects[Held, Any]:
    return []

@rule(timer=B)
def b(handle: Handle, t: Elapsed[None, Held]) -> Effects[Held, Any]:
    return []

FAMILY = Family("held", accepts=Put, state=Held(), timers=[A, B]).rules(put, a, b)
me = Configuration("node", "h", None, None)
env = birth(FAMILY, me, now_ns=0)
for n in range(300):
    outcome = step(FAMILY, me, env, Delivery(f"sender {n % 50}", 0, Put(f"key {n}", Ref(f"ref {n % 40}"))), n)
    assert isinstance(outcome, Committed), outcome
    env = outcome.env
print(environment_digest(FAMILY, env).hex())
"""


def test_a_digest_does_not_depend_on_the_hash_seed() -> None:
    """False if the bytes of a state with maps, timers and acquaintances differed from one process to the next."""
    found = set()
    for seed in ("0", "1", "77"):
        env = {**os.environ, "PYTHONHASHSEED": seed}
        done = subprocess.run([sys.executable, "-c", SCRIPT], env=env, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        found.add(done.stdout)
    assert len(found) == 1
