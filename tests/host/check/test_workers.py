"""A search by several processes finds what one finds."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from engines.model.system import System
from engines.model.system_view import SystemView
from engines.protocols.two_phase_commit import SYSTEM
from host.check import workers as workers_module
from host.check.liveness import Graph
from host.check.local import CheckError, Engines
from host.check.properties import Property, properties_of
from host.check.run import CheckRequest, check, violated
from host.check.search import UNBOUNDED, Bounds, Exploration, Findings
from host.check.space import Space
from host.check.trace import trace_of
from host.check.workers import Giving, Parallel, givings

from .exploring import NEEDS_SHARED, explored
from .tables import Phase, random_system

pytestmark = NEEDS_SHARED


def together(
    system: System, *properties: Property, count: int = 2, bounds: Bounds = UNBOUNDED
) -> tuple[Space, Findings]:
    """A search by `count` processes."""
    space = Space(system, Engines())
    search = Exploration(space, properties, bounds)
    return space, Parallel(search, space, count, bounds, None).run()


@pytest.fixture(autouse=True)
def early(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers start at once, so that small systems are shared too."""
    monkeypatch.setattr(workers_module, "LEVEL_MIN", 2)


def far(view: SystemView) -> bool:
    """Not all signals are used up."""
    return sum(int(engine.state.phase) for engine in view.engines()) < 4


@pytest.mark.parametrize("network", ["unordered", "ordered", "lossy"])
@pytest.mark.parametrize(("count", "seeds"), [(2, 4), *(pytest.param(n, 8, marks=pytest.mark.storm) for n in (2, 3))])
def test_states_steps_and_verdicts_are_those_of_one_process(network: str, count: int, seeds: int) -> None:
    """False if a state were lost on its way to its owner, kept twice, or a violation were not one of the nearest."""
    verdicts = set()
    for seed in range(seeds):
        system = random_system(seed, network)
        alone = explored(system)[1]
        shared = together(system, count=count)[1]
        assert (shared.counts.states, shared.counts.transitions, shared.counts.depth) == (
            alone.counts.states,
            alone.counts.transitions,
            alone.counts.depth,
        )
        one = explored(system, Property("always", far))[1]
        space, other = together(system, Property("always", far), count=count)
        assert [len(v.path) for v in one.violations] == [len(v.path) for v in other.violations]
        for violation in other.violations:
            last = trace_of(space, violation.path).steps[-1]
            assert not far(space.view(last.state))
        verdicts.add(bool(other.violations))
    assert verdicts == {True, False}


def late(view: SystemView) -> bool:
    """Many phases are reached."""
    return not far(view)


def at_zero(view: SystemView) -> bool:
    """The first engine is where it began."""
    return bool(view.state("e0").phase == 0)


@pytest.mark.storm
@pytest.mark.parametrize("network", ["unordered", "ordered", "lossy", "duplicating"])
def test_what_must_happen_is_decided_as_by_one_process(network: str) -> None:
    """False if a step, or what is owed, were lost or taken for another where the shares of a graph are joined."""
    verdicts = set()
    claims = [("eventually", late, None), ("leads_to", at_zero, late), ("leads_to", late, at_zero)]
    for seed in range(6):
        system = random_system(seed, network)
        for claim, first, then in claims:
            one = Property(claim, first, then)  # type: ignore[arg-type]
            predicates = [predicate for predicate in (first, then) if predicate is not None]
            space, found = explored(system)
            alone = violated(Graph(space, found.states), one)
            again = Space(system, Engines())
            parallel = Parallel(Exploration(again, [], keeps_states=True), again, 2, UNBOUNDED, None, predicates)
            parallel.run()
            assert parallel.graph is not None
            joined = violated(parallel.graph, one)
            assert (alone is None) == (joined is None)
            assert sorted(parallel.graph.prints) == sorted(Graph(space, found.states).prints)
            if alone is not None and joined is not None and alone.loop is None:
                assert joined.loop is None
                assert len(joined.path) == len(alone.path)
            verdicts.add(joined is None)
    assert verdicts == {True, False}


@pytest.mark.parametrize(("protocol", "params"), [("raft_election", {}), ("paxos", {"clients": "1"})])
def test_a_check_of_a_protocol_by_two_processes_says_what_one_says(protocol: str, params: dict[str, str]) -> None:
    """False if a claim about all runs were decided otherwise, or left out, where two processes explore."""
    subject = f"engines.protocols.{protocol}:SYSTEM"
    alone, shared = (check(CheckRequest(subject=subject, params=params, workers=workers)) for workers in (1, 2))
    assert [(one.property, one.decided) for one in shared.verdicts] == [
        (one.property, one.decided) for one in alone.verdicts
    ]
    assert shared.is_exhaustive


def test_engines_that_begin_in_a_state_of_their_own_are_sent() -> None:
    """False if an engine lost, on its way to another process, the state that a node fault takes it back to."""
    system = random_system(3)
    members = [replace(member, state=Phase(1, 1)) for member in system.members]
    own = replace(system, members=members)
    assert together(own)[1].counts.states == explored(own)[1].counts.states


def test_witnesses_are_the_nearest() -> None:
    """False if what holds sometimes were shown by a longer way than there is."""
    system = SYSTEM(5)
    alone = explored(system, *properties_of(system))[1]
    shared = together(system, *properties_of(system))[1]
    assert {name: len(path) for name, path in alone.witnesses.items()} == {
        name: len(path) for name, path in shared.witnesses.items()
    }
    assert shared.counts.states == 8_832


def test_bounds_and_unmet_claims_are_said() -> None:
    """False if a shared search that ended early were taken for a whole one, or a claim were forgotten."""
    system = random_system(3)
    bounded = together(system, bounds=Bounds(depth=3))[1]
    assert (bounded.ended, bounded.counts.depth) == ("the bound of 3 steps was reached", 3)

    def nowhere(_view: SystemView) -> bool:
        return False

    found = together(system, Property("sometimes", nowhere))[1]
    assert [violation.what for violation in found.violations] == ["holds in no state"]


def test_a_worker_that_dies_ends_the_check(monkeypatch: pytest.MonkeyPatch) -> None:
    """False if the others waited for ever for a worker that was killed."""
    original = Exploration.expand

    def deadly(self: Exploration, level: Any, after: Any) -> int:
        if os.getpid() != parent and self.found.counts.depth == depth:
            os.kill(os.getpid(), signal.SIGKILL)
        return original(self, level, after)

    parent, depth = os.getpid(), 1
    monkeypatch.setattr(Exploration, "expand", deadly)
    with pytest.raises(CheckError, match="a worker of the check died"):
        together(random_system(3))
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


INTERRUPTED = """
import os, signal
from engines.protocols.two_phase_commit import SYSTEM
from host.check import workers
from host.check.local import Engines
from host.check.search import UNBOUNDED, Exploration
from host.check.space import Space

os.register_at_fork(after_in_child=lambda: os.kill(os.getpid(), signal.SIGINT))
workers.LEVEL_MIN = 2
search = Exploration(space := Space(SYSTEM(2), Engines()), [])
workers.Parallel(search, space, 2, UNBOUNDED, None).run()
print(search.found.counts.states)
"""
"""A search whose workers are interrupted as soon as they are born."""


def test_an_interrupt_at_the_birth_of_a_worker_is_the_coordinators() -> None:
    """False if ^C between a fork and the first line of a worker ended it with a traceback."""
    command = [sys.executable, "-c", INTERRUPTED]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.stderr, done.returncode) == ("", 0)
    assert int(done.stdout) == explored(SYSTEM(2))[1].counts.states


def test_states_are_given_to_a_worker_that_has_few(monkeypatch: pytest.MonkeyPatch) -> None:
    """False if a worker waited while another one had all states, or a state changed on its way."""
    moved = list[int]()

    def all_to_one(sizes: list[int]) -> list[Giving]:
        moved.append(sum(sizes[1:]))
        return [(number, 0, size) for number, size in enumerate(sizes) if number and size]

    system = SYSTEM(4)
    alone = explored(system)[1]
    search = Exploration(space := Space(system, Engines()), [])
    parallel = Parallel(search, space, 3, UNBOUNDED, None)
    parallel.run()
    assert search.found.counts == alone.counts
    assert max(parallel.expanded) < 0.5 * alone.counts.states
    monkeypatch.setattr(workers_module, "givings", all_to_one)
    assert together(system, count=3)[1].counts == alone.counts
    assert sum(moved) > 0


@given(st.lists(st.integers(0, 1_000), min_size=1, max_size=8))
def test_what_is_given_evens_out(sizes: list[int]) -> None:
    """False if more were given than there is, or a worker were left with much more than the others."""
    before, left = list(sizes), list(sizes)
    for giver, taker, count in givings(sizes):
        assert before[giver] >= count > 0
        left[giver] -= count
        left[taker] += count
    assert (sum(left), min(left) >= 0) == (sum(sizes), True)
    assert max(left) - sum(left) // len(left) < max(len(left), sum(left) / len(left) / 8 + 1, 2)


def test_without_memory_to_share_there_is_one_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """False if a search by several processes, where they cannot share, gave counts that are wrong."""
    monkeypatch.setattr(workers_module, "IS_SHARED", False)
    with pytest.raises(CheckError, match="leave --workers out"):
        together(random_system(3))
