from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from host.node.supervision import SECOND, GiveUp, History, Limits, Restart, judge, pause_before

LIMITS = Limits()


def die(history: History, now_ns: int, chance: float = 0.999) -> Restart | GiveUp:
    return judge(history, LIMITS, now_ns, chance)


def test_the_first_restart_is_immediate_and_the_next_ones_wait() -> None:
    """A crash costs its users a pause, or a process that dies at once spins."""
    first = die(History(started_ns=0), 5 * SECOND)
    assert isinstance(first, Restart)
    assert first.pause_ns == 0
    second = die(first.history, 5 * SECOND + 1)
    assert isinstance(second, Restart)
    assert LIMITS.pause_first_ns // 2 <= second.pause_ns <= LIMITS.pause_first_ns


def test_a_healthy_minute_makes_the_next_restart_immediate_again() -> None:
    """A process that crashes once a day waits longer every day."""
    history = History(started_ns=0, row=5)
    verdict = die(history, LIMITS.healthy_ns)
    assert isinstance(verdict, Restart)
    assert (verdict.pause_ns, verdict.history.row) == (0, 1)


def test_dying_at_once_is_given_up_within_the_period_and_not_before_half_of_it_is_tried() -> None:
    """A process that cannot start is tried for ever, or given up before a passing fault has passed."""
    history, now_ns, restarts = History(), 0, 0
    while isinstance(verdict := die(history, now_ns, 0.0), Restart):
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


@given(st.integers(0, 1000), st.floats(0, 1, exclude_max=True))
def test_pauses_stay_within_their_bounds(row: int, chance: float) -> None:
    """A pause is negative, overflows, or exceeds its maximum."""
    pause = pause_before(row, LIMITS, chance)
    assert 0 <= pause <= LIMITS.pause_ns_max
    assert (pause == 0) == (row == 0)


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
    for start in allowed:
        assert sum(start <= at < start + LIMITS.period_ns for at in allowed) <= LIMITS.intensity
