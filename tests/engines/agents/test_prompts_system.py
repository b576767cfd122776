"""Prompts under the checker: orchestrator, launcher device and keeper in every order, with deaths of the device."""

from __future__ import annotations

import pytest

from host.check.run import CheckRequest, check


@pytest.mark.parametrize(("faults", "states"), [(0, 445), (1, 5_022), pytest.param(2, 33_401, marks=pytest.mark.storm)])
def test_no_prompt_is_lost_or_given_twice(faults: int, states: int) -> None:
    """False if a request ends a prompt that is not in the pipe, or an order or report that is lost stays lost."""
    found = check(CheckRequest(subject="engines.agents.orchestration.prompts_system:SYSTEM", faults=faults)).found
    assert not found.ended
    assert found.violations == []
    assert found.counts.states == states
