"""A reload of a slot under mail and deaths, explored: the machine is `host.node.slot_plan.advance` itself."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from host.check.liveness import Graph, never
from host.check.plain import PlainSpace
from host.check.properties import properties_of
from host.check.search import Exploration, Findings
from host.check.trace import trace_of
from host.node import slot_plan
from host.node.slot_state import SlotHappening, SlotState, SlotStep

from .slot_reload import SYSTEM, Advance, one_runs_at_last


def explored(
    deaths: int = 1, advance: Advance = slot_plan.advance, *, is_trial: bool = False
) -> tuple[PlainSpace, Findings]:
    """What a search finds."""
    system = SYSTEM(deaths, advance, is_trial=is_trial)
    space = PlainSpace(system)
    return space, Exploration(space, properties_of(system), keeps_states=True).run()


def way(space: PlainSpace, found: Findings) -> tuple[str, list[str]]:
    """The property that does not hold, and the shortest way there."""
    (violation,) = found.violations
    return violation.property, [step.label for step in trace_of(space, violation.path).steps]


@pytest.mark.parametrize(
    ("deaths", "states", "transitions"),
    [
        (0, 1_483, 3_334),
        *(pytest.param(*row, marks=pytest.mark.storm) for row in ((1, 4_858, 12_041), (2, 7_631, 19_916))),
    ],
)
def test_one_process_runs_and_mail_survives_whatever_dies(deaths: int, states: int, transitions: int) -> None:
    """False if two processes could run, mail were handled twice or lost but by a death, or a reload never ended."""
    space, found = explored(deaths)
    assert (found.violations, found.ended) == ([], "")
    assert (found.counts.states, found.counts.transitions) == (states, transitions)
    assert {name: len(path) - 1 for name, path in found.witnesses.items()} == {
        "sometimes switched": 12,
        "sometimes refused": 1,
        "sometimes crashed": 2 if deaths else 12,
    }
    graph = Graph(space, found.states)
    assert [never(graph, [0], graph.where(one)) for one in space.system.eventually] == [None] * 3


@pytest.mark.storm
def test_two_senders_and_a_timer_come_through_a_death_anywhere() -> None:
    """False if mail of one sender could be handled out of order, or an armed timer elapse twice or be lost but by a
    death."""
    system = SYSTEM(mail=((1, 2), (3,)), has_timer=True)
    space = PlainSpace(system)
    found = Exploration(space, properties_of(system), keeps_states=True).run()
    assert (found.violations, found.ended) == ([], "")
    assert (found.counts.states, found.counts.transitions) == (108_118, 275_772)
    graph = Graph(space, found.states)
    assert [never(graph, [0], graph.where(one)) for one in system.eventually] == [None] * 3


def test_after_a_trial_the_old_process_runs_and_mail_survives() -> None:
    """False if a dry run could lose mail, leave a candidate behind, or never end."""
    space, found = explored(is_trial=True)
    assert (found.violations, found.ended) == ([], "")
    assert "sometimes tried" in found.witnesses
    graph = Graph(space, found.states)
    assert [never(graph, [0], graph.where(one)) for one in space.system.eventually] == [None] * 3


def without(*left_out: str) -> Advance:
    """The machine without some of its commands."""

    def advance(slot: SlotState, happening: SlotHappening) -> SlotStep:
        step = slot_plan.advance(slot, happening)
        return replace(step, commands=tuple(one for one in step.commands if one not in left_out))

    return advance


def besides(added: str, to: str) -> Advance:
    """The machine with a command more where it gives another one."""

    def advance(slot: SlotState, happening: SlotHappening) -> SlotStep:
        step = slot_plan.advance(slot, happening)
        return replace(step, commands=(*step.commands, added) if to in step.commands else step.commands)

    return advance


def test_a_new_process_that_runs_before_the_old_one_ended_is_found() -> None:
    """False if a slot passed on while its owner still lives were taken for right."""
    claim, labels = way(*explored(0, besides("go", "retire")))
    assert claim == "always one_version_runs"
    assert labels[-2:] == ["the supervisor hears new: loaded", "new runs"]
    assert "old exits" not in labels


def test_an_old_process_that_exits_before_the_new_one_has_the_state_is_found() -> None:
    """False if mail were lost without a death, and nobody saw it."""
    claim, labels = way(*explored(0, besides("retire", "adopt")))
    assert claim == "always mail_survives"
    assert "old lets go" in labels


def without_asking(slot: SlotState, happening: SlotHappening) -> SlotStep:
    """The machine, if it took the slot back from a primed candidate without its token."""
    step = slot_plan.advance(slot, happening)
    return slot_plan.advance(step.slot, "withdrawn") if "withdraw" in step.commands else step


def test_an_old_process_that_thaws_without_the_token_is_found() -> None:
    """False if both versions could handle the mail of a reload that was late, and nobody saw it."""
    claim, labels = way(*explored(0, without_asking))
    assert claim == "always no_message_is_handled_twice"
    assert "new takes the slot" in labels
    assert "old thaws" in labels


@pytest.mark.parametrize("left_out", ["thaw", "kill_new"])
def test_a_refusal_that_leaves_something_behind_is_found(left_out: str) -> None:
    """False if an old process could stay frozen for ever, or a candidate be left over, after a refusal."""
    space, found = explored(0, without(left_out))
    assert not found.ended
    assert not any(violation.path for violation in found.violations)
    graph = Graph(space, found.states)
    lasso = never(graph, [0], graph.where(one_runs_at_last))
    assert lasso is not None
    assert found.states[lasso.path[-1]].verdict == "refused"
