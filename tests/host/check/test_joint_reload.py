"""A joint reload of two slots under deaths, explored: the machines are those of `host.node` themselves."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from msgspec.structs import replace

from host.check.liveness import Graph, never
from host.check.plain import PlainSpace
from host.check.properties import properties_of
from host.check.search import Exploration, Findings
from host.node import joint_plan
from host.node.joint_plan import JointState, JointTask
from host.node.reload_plan import NewFailed, ReloadState
from host.node.slot_state import Crossing, SlotState

from .joint_reload import SYSTEM, NextTask


def explored(
    deaths: int, next_task: NextTask = joint_plan.next_task, *, is_trial: bool = False
) -> tuple[PlainSpace, Findings]:
    """What a search finds."""
    system = SYSTEM(deaths, next_task, is_trial=is_trial)
    space = PlainSpace(system)
    return space, Exploration(space, properties_of(system), keeps_states=True).run()


@pytest.mark.parametrize(
    ("deaths", "is_trial", "states", "transitions"),
    [
        (0, False, 4_320, 14_642),
        (0, True, 2_223, 7_654),
        pytest.param(1, False, 20_784, 78_526, marks=pytest.mark.storm),
        pytest.param(1, True, 10_435, 39_518, marks=pytest.mark.long),
        pytest.param(2, False, 49_558, 201_596, marks=pytest.mark.long),
    ],
)
def test_all_switch_or_none_does(deaths: int, is_trial: bool, states: int, transitions: int) -> None:
    """False if some order of imports, deaths and delays left two versions, or had both run at once."""
    space, found = explored(deaths, is_trial=is_trial)
    assert (found.violations, found.ended) == ([], "")
    assert (found.counts.states, found.counts.transitions) == (states, transitions)
    graph = Graph(space, found.states)
    assert [never(graph, [0], graph.where(one)) for one in space.system.eventually] == [None]


def hasty(joint: JointState, slots: Mapping[int, SlotState]) -> tuple[JointState, JointTask | None]:
    """A plan that decides as soon as one member is prepared."""
    plans = [one.crossing.plan for one in slots.values() if one.crossing is not None]
    is_decided = joint.is_decided or any(plan.stage == "prepared" for plan in plans)
    return joint_plan.next_task(replace(joint, is_decided=is_decided), slots)


def test_a_member_that_does_not_wait_is_found() -> None:
    """False if old and new code of two members could meet, and nobody saw it."""
    _, found = explored(0, hasty)
    assert [violation.property for violation in found.violations] == ["always versions_never_meet"]


def test_a_refusal_is_everybodys_at_once() -> None:
    """False if the other members waited for their deadlines before they went on."""
    waiting = SlotState("running", "there", crossing=Crossing(ReloadState("staged", is_joint=True)))
    joint = joint_plan.concluded(JointState((1, 2)), "a", "refused", "why")
    assert joint_plan.next_task(joint, {1: SlotState("running", "there"), 2: waiting})[1] == (2, NewFailed("a: why"))
