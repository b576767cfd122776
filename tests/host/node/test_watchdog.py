from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from host.config.spec import SupervisionSpec
from host.node.watchdog import LOOK_NS_MAX, Condition, Look, Watch

MS = 1_000_000
DEADLINES = SupervisionSpec(soft_ns=100 * MS, hard_ns=300 * MS)
STILL = (1, 5, 0)


def alarms(
    watch: Watch, moves: tuple[int, ...], condition: Condition, looks: int, every_ns: int = 50 * MS
) -> list[str]:
    return [watch.look(Look(moves, condition, cycles), every_ns) for cycles in range(looks)]


def test_soft_then_hard_each_once() -> None:
    """A stuck process is dumped again and again, or killed before anybody knows where it stood."""
    for condition in ("handling", "stopped", "computing", "deaf"):
        found = alarms(Watch(DEADLINES), STILL, condition, 10)
        assert found == ["", "", "soft", "", "", "", "hard", "", "", ""]


def test_who_waits_or_moves_is_not_stuck() -> None:
    """An idle process, or a slow one that gets on, is killed."""
    watch = Watch(DEADLINES)
    assert alarms(watch, STILL, "waiting", 100) == [""] * 100
    assert [alarms(watch, (n, 5, 0), "handling", 2)[-1] for n in range(2, 50)] == [""] * 48


def test_a_process_that_recovers_starts_from_nothing() -> None:
    """Two short hangs are taken for a long one."""
    watch = Watch(DEADLINES)
    assert alarms(watch, STILL, "handling", 5)[2] == "soft"
    assert alarms(watch, (2, 5, 0), "handling", 4) == ["", "", "soft", ""]


def test_deadlines_can_be_off() -> None:
    """A deadline of 0 kills at once."""
    assert alarms(Watch(SupervisionSpec(soft_ns=0, hard_ns=0)), STILL, "handling", 1000) == [""] * 1000


@given(st.lists(st.integers(0, 10**15), min_size=1, max_size=20))
def test_a_supervisor_that_was_away_blames_nobody_for_it(passed: list[int]) -> None:
    """A laptop that slept kills every engine when it wakes."""
    watch = Watch(SupervisionSpec(soft_ns=0, hard_ns=10**18))
    for passed_ns in passed:
        watch.look(Look(STILL, "handling"), passed_ns)
    assert watch.stuck_ns <= len(passed) * LOOK_NS_MAX


def test_a_process_that_moves_and_ends_no_cycle_is_stuck() -> None:
    """False if a process that is busy for ever, and listens to nobody, passed for one that gets on."""
    watch = Watch(DEADLINES)
    found = [watch.look(Look((n, 5, 0), "handling", cycles=7), 50 * MS) for n in range(10)]
    assert found == ["", "", "soft", "", "", "", "hard", "", "", ""]
    assert watch.look(Look((11, 5, 0), "handling", cycles=8), 50 * MS) == ""
    assert watch.stuck_ns == 0
