"""The protocol of a reload, explored: `host.node.reload_plan.advance` and two processes that may die at any time."""

from __future__ import annotations

from itertools import product

from msgspec.structs import replace

from engines.model.system import System
from host.check.liveness import Graph, never
from host.check.local import Engines
from host.check.properties import Property, properties_of
from host.check.search import Exploration
from host.check.space import Space

from .exploring import explored
from .reload_protocol import Sign, ended_as, is_over, old_goes_on, refused, reload_system


def test_a_slot_has_one_owner_whatever_dies_and_whenever() -> None:
    """False if two processes could touch the lanes of a slot, or a slot were started again while one still could."""
    starts: tuple[Sign, ...] = ("checked", "changed", "incompatible", "failed")
    for first, is_trial in product(starts, (False, True)):
        system = reload_system(first, is_trial=is_trial)
        space, found = explored(system, *properties_of(system))
        assert (found.violations, found.ended) == ([], "")
        assert space.dropped == {}


def test_a_reload_ends_in_each_of_its_three_ways() -> None:
    """False if the exploration met none of the ends that a reload can have."""
    system = replace(reload_system(), sometimes=[ended_as("switched"), ended_as("refused"), ended_as("crashed")])
    _, found = explored(system, *properties_of(system))
    assert found.violations == []
    assert {name: len(path) - 1 for name, path in found.witnesses.items()} == {
        "sometimes switched": 13,
        "sometimes refused": 1,
        "sometimes crashed": 2,
    }


def test_a_trial_ends_with_the_old_process_in_place() -> None:
    """False if a dry run could end with the new process in the slot, or if none succeeded."""
    system = replace(reload_system("changed", is_trial=True), sometimes=[ended_as("tried"), ended_as("switched")])
    _, found = explored(system, *properties_of(system))
    assert list(found.witnesses) == ["sometimes tried"]


def test_a_reload_comes_to_an_end_and_a_refused_one_lets_the_old_process_go_on() -> None:
    """False if a reload could stay half done for ever, or an engine stay frozen after a refusal."""
    for is_trial in (False, True):
        _comes_to_an_end(reload_system("changed", is_trial=is_trial))


def _comes_to_an_end(system: System) -> None:
    space = Space(system, Engines())
    found = Exploration(space, [], keeps_states=True).run()
    graph = Graph(space, found.states)
    assert never(graph, [0], graph.where(is_over)) is None
    goes_on = graph.where(old_goes_on)
    begins = [n for n, holds in enumerate(graph.where(refused)) if holds and not goes_on[n]]
    assert begins, "no refusal met a frozen process"
    assert never(graph, begins, goes_on) is None


def test_a_plan_that_lets_the_new_one_go_too_early_is_found() -> None:
    """False if the exploration took a plan that starts the new process before the old one ended for a right one."""
    from . import reload_protocol

    right = reload_protocol.advance

    def hasty(plan: object, happening: object) -> object:
        step = right(plan, happening)  # type: ignore[arg-type]
        return replace(step, commands=(*step.commands, "go")) if "retire" in step.commands else step

    reload_protocol.advance = hasty  # type: ignore[assignment]
    try:
        system = reload_system()
        found = explored(system, Property("always", reload_protocol.one_owner))[1]
    finally:
        reload_protocol.advance = right
    assert [violation.property for violation in found.violations] == ["always one_owner"]
