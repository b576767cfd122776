from __future__ import annotations

from typing import get_args

import pytest

from host.live.supervisor.slots import TABLE, Move, State


def reachable(start: State) -> set[State]:
    found: set[State] = {start}
    ahead: list[State] = [start]
    while ahead:
        here = ahead.pop()
        for (before, _), after in TABLE.items():
            if before == here and after not in found:
                found.add(after)
                ahead.append(after)
    return found


def test_every_state_is_reached_and_every_move_used() -> None:
    """The table has a state nobody enters, or a move that never happens."""
    assert reachable("starting") == set(get_args(State))
    assert {move for _, move in TABLE} == set(get_args(Move))


@pytest.mark.parametrize("state", get_args(State))
def test_a_stop_is_final_and_always_possible_while_something_runs(state: State) -> None:
    """A node that stops gets a process back, or cannot stop a slot."""
    assert TABLE[state, "stop"] == "stopping"
    assert reachable("stopping") == {"stopping"}


@pytest.mark.parametrize("state", ["starting", "running", "freezing"])
def test_a_death_leads_to_a_restart_or_to_giving_up(state: State) -> None:
    """A slot whose process died waits for ever."""
    assert TABLE[state, "ended"] == "restarting"
    assert {TABLE["restarting", "launch"], TABLE["restarting", "give_up"]} == {"starting", "degraded"}
