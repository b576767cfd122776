"""A probation under mail, faults and deaths, explored: the machine is `host.node.probation.advance` itself."""

from __future__ import annotations

import pytest

from host.check.liveness import Graph, never
from host.check.plain import PlainSpace
from host.check.properties import properties_of
from host.check.search import Exploration
from host.node import probation
from host.node.probation import ProbationHappening, ProbationState, ProbationStep

from .probation_watch import SYSTEM


@pytest.mark.parametrize("deaths", [0, 1, 3])
@pytest.mark.parametrize(
    "plan",
    [ProbationState(), ProbationState(is_journaled=True), ProbationState(forward_only="no", is_journaled=True)],
    ids=["volatile", "journaled", "forward only"],
)
def test_a_probation_comes_to_one_verdict_and_keeps_its_mail(plan: ProbationState, deaths: int) -> None:
    """False if some order of faults, deaths and verdicts lost or doubled a message, or left a process held."""
    system = SYSTEM(deaths, plan)
    space = PlainSpace(system)
    found = Exploration(space, properties_of(system), keeps_states=True).run()
    assert (found.violations, found.ended) == ([], "")
    graph = Graph(space, found.states)
    assert [never(graph, [0], graph.where(one)) for one in system.eventually] == [None]


@pytest.mark.parametrize("left_out", ["release", "hold"])
def test_a_command_that_is_missing_is_found(left_out: str) -> None:
    """False if a process could stay held for ever, or run on where it should not, and nobody saw it."""

    def without(plan: ProbationState, happening: ProbationHappening) -> ProbationStep:
        step = probation.advance(plan, happening)
        return ProbationStep(step.plan, tuple(one for one in step.commands if one != left_out))

    system = SYSTEM(1, ProbationState(is_journaled=True), without)
    found = Exploration(PlainSpace(system), properties_of(system)).run()
    claims = {"release": "held_only_until_the_verdict", "hold": "new_runs_only_held_after_a_death"}
    assert [violation.property for violation in found.violations] == [f"always {claims[left_out]}"]
