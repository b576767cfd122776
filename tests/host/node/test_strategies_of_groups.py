"""Who goes down and comes up with whom, row by row against OTP's supervisor.

Each row cites the function of `lib/stdlib/src/supervisor.erl` it follows.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from host.node.endings import Kind, Reason, wants_restart
from host.node.strategies import GroupChild, GroupWork, Strategy, plan_restart, plan_stop

A, B, C, D = (GroupChild(slot) for slot in (1, 2, 3, 4))
ALL = (A, B, C, D)
TEMPORARY = (A, GroupChild(2, "temporary"), C, D)
ENDED_WELL = (A, B, GroupChild(3, "transient", is_running=False), D)
DOWN = (A, GroupChild(2, is_running=False), C, D)
WAITS = (A, GroupChild(2, is_running=False, waits=True), GroupChild(3, is_running=False, waits=True), D)


@pytest.mark.parametrize(
    ("kind", "reason", "is_restarted"),
    [
        ("permanent", "normal", True),  # do_restart(Reason, GroupChild, State) when ?is_permanent(GroupChild)
        ("permanent", "exception", True),
        ("permanent", "out_of_memory", True),
        ("transient", "normal", False),  # do_restart(normal, GroupChild, State)
        ("transient", "exception", True),  # do_restart(Reason, GroupChild, State) when ?is_transient(GroupChild)
        ("transient", "signal", True),
        ("transient", "exit", True),
        ("transient", "hung", True),
        ("temporary", "normal", False),  # do_restart(normal, GroupChild, State)
        ("temporary", "exception", False),  # do_restart(Reason, GroupChild, State) when ?is_temporary(GroupChild)
        ("temporary", "signal", False),
    ],
)
def test_who_is_restarted_at_all(kind: Kind, reason: Reason, is_restarted: bool) -> None:
    """A child spec means something else than in OTP."""
    assert wants_restart(kind, reason) is is_restarted


@pytest.mark.parametrize(
    ("strategy", "children", "failed", "plan"),
    [
        # restart(one_for_one, ...): do_start_child, nobody else is touched
        ("one_for_one", ALL, 1, GroupWork(start=(1,))),
        ("one_for_one", ALL, 4, GroupWork(start=(4,))),
        ("one_for_one", ENDED_WELL, 2, GroupWork(start=(2,))),
        # restart(one_for_all, ...): terminate_children in reverse, start_children in order
        ("one_for_all", ALL, 1, GroupWork(stop=(4, 3, 2), start=(1, 2, 3, 4))),
        ("one_for_all", ALL, 3, GroupWork(stop=(4, 2, 1), start=(1, 2, 3, 4))),
        # terminate_children: "Temporary children should not be restarted and thus should be skipped"
        ("one_for_all", TEMPORARY, 3, GroupWork(stop=(4, 2, 1), start=(1, 3, 4), over=(2,))),
        # del_child keeps a transient child that ended well (pid=undefined); start_children starts whoever is listed
        ("one_for_all", ENDED_WELL, 1, GroupWork(stop=(4, 2), start=(1, 2, 3, 4))),
        # do_terminate(_Child, _SupName): one without a process is not stopped again
        ("one_for_all", DOWN, 1, GroupWork(stop=(4, 3), start=(1, 2, 3, 4))),
        # restart(rest_for_one, ...): split_child, those after the failed one and itself
        ("rest_for_one", ALL, 1, GroupWork(stop=(4, 3, 2), start=(1, 2, 3, 4))),
        ("rest_for_one", ALL, 3, GroupWork(stop=(4,), start=(3, 4))),
        ("rest_for_one", ALL, 4, GroupWork(start=(4,))),
        ("rest_for_one", TEMPORARY, 1, GroupWork(stop=(4, 3, 2), start=(1, 3, 4), over=(2,))),
        ("rest_for_one", TEMPORARY, 3, GroupWork(stop=(4,), start=(3, 4))),
        ("rest_for_one", ENDED_WELL, 2, GroupWork(stop=(4,), start=(2, 3, 4))),
        # children that the plan under way was to start (there, a supervisor that restarts hears of no other end)
        ("rest_for_one", WAITS, 3, GroupWork(stop=(4,), start=(2, 3, 4))),
        ("rest_for_one", WAITS, 1, GroupWork(stop=(4,), start=(1, 2, 3, 4))),
        ("one_for_one", WAITS, 3, GroupWork(start=(3,))),
    ],
)
def test_who_goes_and_comes_with_whom(
    strategy: Strategy, children: tuple[GroupChild, ...], failed: int, plan: GroupWork
) -> None:
    """A group comes back without a member it cannot do without, or in a state no member was started from."""
    assert plan_restart(strategy, children, failed) == plan


def test_a_group_that_gives_up_stops_in_reverse() -> None:
    """terminate(_Reason, State): children are terminated from the last to the first."""
    assert plan_stop(ALL) == (4, 3, 2, 1)
    assert plan_stop(DOWN) == (4, 3, 1)


KINDS = st.sampled_from(["permanent", "transient", "temporary"])
GROUPS = st.lists(st.tuples(KINDS, st.booleans()), min_size=1, max_size=8).map(
    lambda found: tuple(GroupChild(slot, kind, running) for slot, (kind, running) in enumerate(found, start=1))
)


@given(st.sampled_from(["one_for_one", "one_for_all", "rest_for_one"]), GROUPS, st.data())
def test_what_every_plan_keeps(strategy: Strategy, children: tuple[GroupChild, ...], data: st.DataObject) -> None:
    """Somebody is started twice or out of order, stopped and forgotten, or stopped although nothing ran."""
    failed = data.draw(st.sampled_from([child.slot for child in children]))
    plan = plan_restart(strategy, children, failed)
    running = {child.slot for child in children if child.is_running}
    assert failed in plan.start
    assert failed not in plan.stop
    assert list(plan.start) == sorted(set(plan.start))
    assert list(plan.stop) == sorted(set(plan.stop), reverse=True)
    assert set(plan.stop) <= running
    assert set(plan.stop) <= set(plan.start) | set(plan.over)
    assert not set(plan.start) & set(plan.over)
