"""Timers: named, superseded, one trigger for all that elapsed, never early."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from scripted import Cancel, SetState, Wake, newborn, ring, run

from engines.model import (
    Committed,
    Configuration,
    Due,
    Elapsed,
    Environment,
    Failed,
    Family,
    Handle,
    Message,
    Refused,
    Rule,
    SetTimer,
    Stop,
    Stopped,
    Timer,
    Value,
    birth,
    due_timers,
    next_deadline,
    step,
)


def after(outcome: Any) -> Environment[Any]:
    assert isinstance(outcome, Committed)
    return outcome.env


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 9)), max_size=8), st.integers(0, 20))
def test_the_last_setting_of_each_name_counts_and_no_handle_is_used_twice(sets: Any, now_ns: int) -> None:
    """If false, a superseded timer fires, a timer fires early, or a handle comes again."""
    env, last, numbers = newborn(), {}, []
    for at_ns, (name, after_ns) in enumerate(sets):
        env = after(run(env, Wake(name, after_ns), now_ns=at_ns))
        last[name] = at_ns + max(1, after_ns)
        numbers.append(env.timers[name].number)
    assert len(set(numbers)) == len(numbers)
    assert {name: timer.deadline_ns for name, timer in env.timers.items()} == last
    due = due_timers(env, now_ns)
    assert {handle.name for handle in due} == {name for name, deadline_ns in last.items() if deadline_ns <= now_ns}
    assert [env.timers[handle.name].deadline_ns for handle in due] == sorted(
        env.timers[handle.name].deadline_ns for handle in due
    )
    assert next_deadline(env) == min(last.values(), default=None)


def test_two_timers_at_one_instant_are_one_trigger_and_both_handled() -> None:
    """If false, the second of two elapsed timers is lost under strategy `first`."""
    env = after(run(newborn(), Wake("b", 5), Wake("a", 5)))
    due = due_timers(env, 5)
    outcome = ring(env, due, 5)
    assert isinstance(outcome, Committed)
    assert outcome.labels == ("ring_a", "ring_b")
    assert outcome.env.state.number == 12
    assert outcome.ignored == 0
    assert not outcome.env.timers


def test_a_timer_no_rule_takes_is_counted_and_gone() -> None:
    """If false, a timer nobody wants comes for ever, or vanishes in silence."""
    env = after(run(newborn(), SetState(2), Wake("c", 1)))
    outcome = ring(env, due_timers(env, 1), 1)
    assert isinstance(outcome, Committed)
    assert outcome.ignored == 1
    assert not outcome.env.timers


def test_each_rule_sees_what_the_previous_one_left() -> None:
    """If false, elapsed timers that depend on each other act on the past."""
    env = after(run(newborn(), SetState(2), Wake("a", 1), Wake("c", 1)))
    outcome = ring(env, due_timers(env, 1), 1)
    assert isinstance(outcome, Committed)
    assert outcome.env.state.number == 213


def test_a_superseded_or_cancelled_handle_is_refused() -> None:
    """If false, a timer could fire twice."""
    env = after(run(newborn(), Wake("a", 1)))
    stale = due_timers(env, 1)
    again = after(run(env, Wake("a", 1)))
    assert isinstance(ring(again, stale, 1), Refused)
    assert isinstance(ring(after(run(env, Cancel("a"))), stale, 1), Refused)


def test_pending_is_what_was_set_and_has_neither_elapsed_nor_been_cancelled() -> None:
    """If false, a rule sets a timer it has already, or waits for one that never comes."""
    a, b = Timer("a"), Timer("b")
    env = after(run(newborn(), Wake("a", 1)))
    assert (env.is_pending(a), env.is_pending(b)) == (True, False)
    assert not after(run(env, Cancel("a"))).is_pending(a)
    assert not after(ring(env, due_timers(env, 1), 1)).is_pending(a)


class Nudge(Message):
    pass


class Trail(Value):
    names: tuple[str, ...] = ()


T, U = Timer("t"), Timer("u")
ME = Configuration("node", "me")


def timed(name: str, timer: Timer, priority: int, holds: bool = True, ends: bool = False) -> Rule[Any, Any, Any, Any]:
    def guard(t: Elapsed[None, Trail]) -> Handle | None:
        return t.timer if holds else None

    def action(match: Handle, t: Elapsed[None, Trail]) -> Any:
        assert match.name == timer.name
        state = Trail((*t.env.state.names, name))
        return [Stop()] if ends else state

    return Rule(action, guard, priority, timer, name)


def elapse(*rules: Rule[Any, Any, Any, Any], strategy: Any = "first") -> Any:
    def arm(message: Nudge, t: Any) -> Any:
        return [SetTimer(U, at_ns=1), SetTimer(T, at_ns=2)]

    start = Rule(arm, name="arm", messages=(Nudge,))
    made = Family("timed", accepts=Nudge, state=Trail(), timers=[T, U], strategy=strategy).rules(start, *rules)
    from engines.model import Delivery

    env = after(step(made, ME, birth(made, ME, now_ns=0), Delivery("x", 0, Nudge()), 0))
    return step(made, ME, env, Due(due_timers(env, 5)), 5)


def test_for_each_timer_the_lowest_number_that_holds_and_all_rules_of_it() -> None:
    """If false, priorities of one timer decide over another, or a rule of the same number is skipped."""
    rules = [
        timed("t0-no", T, 0, holds=False),
        timed("u2", U, 2),
        timed("u1", U, 1),
        timed("t1", T, 1),
        timed("t1-too", T, 1),
        timed("t2", T, 2),
    ]
    for strategy in ("first", "last", "all", "one", "unique"):
        outcome = elapse(*rules, strategy=strategy)
        assert outcome.labels == ("u1", "t1", "t1-too")
        assert outcome.env.state.names == outcome.labels


def test_a_rule_that_ends_the_engine_is_the_last() -> None:
    """If false, a timer's rule runs in an engine that has ended."""
    outcome = elapse(timed("u", U, 0, ends=True), timed("t", T, 1))
    assert outcome.labels == ("u",)
    assert outcome.outputs == (Stopped(),)


def test_a_failure_keeps_the_timers() -> None:
    """If false, a rule that raises takes its timer with it."""

    def fail(handle: Handle, t: Elapsed[None, Trail]) -> Trail:
        raise ZeroDivisionError

    outcome = elapse(timed("u", U, 0), Rule(fail, None, 1, T, "fail"))
    assert isinstance(outcome, Failed)
