from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from host.config.spec import SECOND, SupervisionSpec
from host.node.supervision import Budget, GiveUp, History, Restart, judge, pause_before, spend

LIMITS = SupervisionSpec()
NO_BUDGET = Budget(restarts_max=None)


def die(history: History, now_ns: int, chance: float = 0.999, limits: SupervisionSpec = LIMITS) -> Restart | GiveUp:
    return judge(history, limits, NO_BUDGET, now_ns, chance)


def test_the_first_restart_is_immediate_and_the_next_ones_wait() -> None:
    """A crash costs its users a pause, or a process that dies at once spins."""
    first = die(History(started_ns=0), 5 * SECOND)
    assert isinstance(first, Restart)
    assert first.pause_ns == 0
    second = die(first.history, 5 * SECOND + 1)
    assert isinstance(second, Restart)
    assert LIMITS.backoff_ns * 0.99 <= second.pause_ns <= LIMITS.backoff_ns


def test_a_healthy_minute_makes_the_next_restart_immediate_again() -> None:
    """A process that crashes once a day waits longer every day."""
    history = History(started_ns=0, row=5)
    verdict = die(history, LIMITS.healthy_ns)
    assert isinstance(verdict, Restart)
    assert (verdict.pause_ns, verdict.history.row) == (0, 1)


def test_dying_at_once_is_given_up_within_the_period_and_not_before_half_of_it_is_tried() -> None:
    """A process that cannot start is tried for ever, or given up before a passing fault has passed."""
    history, now_ns, restarts = History(), 0, 0
    while isinstance(verdict := die(history, now_ns, 0.5), Restart):
        restarts += 1
        now_ns += verdict.pause_ns
        history = verdict.history
    assert restarts == LIMITS.intensity
    assert 20 * SECOND < now_ns < LIMITS.period_ns
    assert "10 restarts within 120 s" in verdict.reason


def test_restarts_before_the_period_do_not_count() -> None:
    """A long-lived node gives up for restarts of last week."""
    history = History(restarts_ns=tuple(range(20)))
    verdict = die(history, LIMITS.period_ns + 100)
    assert isinstance(verdict, Restart)
    assert verdict.history.restarts_ns == (LIMITS.period_ns + 100,)


def test_nothing_is_counted_and_nothing_paused_when_all_of_it_is_off() -> None:
    """A test that kills without end is given up, slowed down, or remembered without end."""
    limits = SupervisionSpec(intensity=None, backoff_ns=0)
    history = History()
    for now_ns in range(10_000):
        verdict = die(history, now_ns, limits=limits)
        assert isinstance(verdict, Restart)
        assert verdict.pause_ns == 0
        history = verdict.history
    assert history.restarts_ns == ()


def test_the_budget_of_a_node_is_spent_by_all_together() -> None:
    """A fault that makes every process crash a little keeps the machine busy for ever."""
    budget = Budget(restarts_max=3)
    for now_ns in range(3):
        verdict = judge(History(), LIMITS, budget, now_ns, 0.5)
        assert isinstance(verdict, Restart)
        budget = verdict.budget
    last = judge(History(), LIMITS, budget, 4, 0.5)
    assert isinstance(last, GiveUp)
    assert last.reason == "3 restarts of the whole node within 120 s"
    assert isinstance(judge(History(), LIMITS, budget, budget.period_ns + 3, 0.5), Restart)


# The rows of OTP: intensity, period in seconds, times of deaths, how many of them are answered with a restart.
# `supervisor.erl`, `add_restart`: a restart that is exactly a period old still counts (`R >= Threshold`), so does the
# one at hand, and more than `intensity` of them are too many (`CurI =< I`).
@pytest.mark.parametrize(
    ("intensity", "period", "deaths", "restarts"),
    [
        (0, 5, [0], 0),
        (1, 5, [0], 1),
        (1, 5, [0, 1], 1),
        (1, 5, [0, 5], 1),
        (1, 5, [0, 6], 2),
        (3, 10, [0, 1, 2], 3),
        (3, 10, [0, 1, 2, 3], 3),
        (3, 10, [0, 1, 2, 10], 3),
        (3, 10, [0, 1, 2, 11], 4),
        (3, 10, [0, 4, 8, 12, 16, 20], 6),
        (3, 10, [0, 3, 6, 9], 3),
    ],
)
def test_intensity_and_period_are_those_of_otp(intensity: int, period: int, deaths: list[int], restarts: int) -> None:
    """Who knows OTP counts on restarts that do not come, or on an end that does not."""
    spent: tuple[int, ...] | None = ()
    done = 0
    for at in deaths:
        assert spent is not None
        spent = spend(spent, intensity, period * SECOND, at * SECOND)
        if spent is None:
            break
        done += 1
    assert done == restarts


@given(st.integers(0, 1000), st.floats(0, 1, exclude_max=True))
def test_pauses_stay_within_their_bounds(row: int, chance: float) -> None:
    """A pause is negative, overflows, or exceeds its maximum."""
    pause = pause_before(row, LIMITS, chance)
    assert 0 <= pause <= LIMITS.backoff_max_ns
    assert row > 0 or pause == 0


@given(st.lists(st.integers(0, 200 * SECOND), max_size=60))
def test_never_more_restarts_than_the_intensity_in_any_period(gaps: list[int]) -> None:
    """Some pattern of crashes gets more restarts within a period than the limits allow."""
    history, now_ns, allowed = History(), 0, []
    for gap in gaps:
        now_ns += gap
        verdict = die(history, now_ns)
        history = verdict.history
        if isinstance(verdict, Restart):
            allowed.append(now_ns)
    assert LIMITS.intensity is not None
    for start in allowed:
        assert sum(start <= at < start + LIMITS.period_ns for at in allowed) <= LIMITS.intensity
