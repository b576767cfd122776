"""Everything that an engine can do is done in every order: timers, answers, spawns, ends, faults, reloads."""

from __future__ import annotations

from typing import Any

from engines.model import (
    Arrived,
    Become,
    Choose,
    Consume,
    Effects,
    Elapsed,
    Family,
    Handle,
    Interaction,
    Message,
    Ref,
    Roll,
    Send,
    SetTimer,
    Spawn,
    Stop,
    Timer,
    Value,
    interactive_rule,
    rule,
)
from engines.model.system import Envelope, Member, System
from host.check.search import Bounds
from host.check.trace import trace_of

from .exploring import explored, states_of

LATE = Timer("late")
SOON = Timer("soon")


class Start(Message):
    """Set both timers."""


class Seen(Value):
    """State: what has happened, in order."""

    names: tuple[str, ...] = ()


def also(t: Any, name: str) -> Seen:
    """The state with one more thing seen."""
    return Seen((*t.env.state.names, name))


@rule
def start(_start: Start, t: Arrived[Start, None, Seen]) -> Effects[Seen, Any]:
    """Timers: both. State, messages, engines: none."""
    return [SetTimer(LATE, after_ns=2_000), SetTimer(SOON, after_ns=1_000)]


@rule(timer=LATE)
def late(_late: Handle, t: Elapsed[None, Seen]) -> Effects[Seen, Any]:
    """State: seen. Messages, timers, engines: none."""
    return also(t, f"late at {t.now_ns}")


@rule(timer=SOON)
def soon(_soon: Handle, t: Elapsed[None, Seen]) -> Effects[Seen, Any]:
    """State: seen. Messages, timers, engines: none."""
    return also(t, f"soon at {t.now_ns}")


TIMED = Family("timed", state=Seen(), accepts=Start, timers=[LATE, SOON]).rules(start, late, soon)


def test_untimed_timers_elapse_in_any_order_and_bounded_ones_at_their_deadlines() -> None:
    """False if an order that can happen is missed, or a timer elapses before its time."""
    system = System(name="timers", members=[Member("a", TIMED)], messages=[Envelope("a", Start())])
    untimed = states_of(*explored(system), "a")
    assert {seen.names for seen in untimed} >= {("late at 0", "soon at 0"), ("soon at 0", "late at 0")}
    bounded = states_of(*explored(system, timers="bounded"), "a")
    assert {seen.names for seen in bounded} == {
        (),
        ("soon at 1000",),
        ("soon at 1000", "late at 2000"),
    }


def test_a_tick_moves_the_clock_of_an_engine_without_timers() -> None:
    """False if time could pass for engines with timers only."""

    @rule
    def read(_start: Start, t: Arrived[Start, None, Seen]) -> Effects[Seen, Any]:
        """State: the time. Messages, timers, engines: none."""
        return Seen((str(t.now_ns),))

    family = Family("reader", state=Seen(), accepts=Start).rules(read)
    system = System(name="ticks", members=[Member("a", family)], messages=[Envelope("a", Start())], ticks_ns=[7])
    space, found = explored(system, timers="bounded", bounds=Bounds(depth=3))
    assert {seen.names for seen in states_of(space, found, "a")} == {(), ("0",), ("7",), ("14",)}
    assert found.ended


class Question(Message):
    """Ask the user, or chance."""


@interactive_rule
def ask(_question: Question, t: Arrived[Question, None, Seen]) -> Interaction[Seen, Any]:
    """State: the answers. Messages, timers, engines: none."""
    choice = yield from Choose(["left", "right"], timeout_ns=5)
    side = yield from Roll(3)
    return also(t, f"{choice} {side}")


ASKING = Family("asking", state=Seen(), accepts=Question).rules(ask)


def test_every_branch_of_an_interaction_is_taken() -> None:
    """False if an answer, a side of a die or a time-out is never tried."""
    system = System(name="choices", members=[Member("a", ASKING)], messages=[Envelope("a", Question())])
    space, found = explored(system)
    ends = {seen.names[0] for seen in states_of(space, found, "a") if seen.names}
    assert ends == {f"{choice} {side}" for choice in ("left", "right", None) for side in (1, 2, 3)}


def test_mail_waits_while_an_engine_waits_for_an_answer() -> None:
    """False if a message reached an engine in the middle of a transition."""
    system = System(
        name="waiting",
        members=[Member("a", ASKING)],
        messages=[Envelope("a", Question()), Envelope("a", Question(), "b")],
    )
    space, found = explored(system)
    for state in found.states:
        for successor in space.successors(state):
            if successor.kind == "deliver":
                assert space.view(state).engine("a").status == "running"
    assert max(len(seen.names) for seen in states_of(space, found, "a")) == 2


class Make(Message):
    """Spawn a child and write to it at once."""


class Quit(Message):
    """End."""


class Hello(Message):
    """A greeting."""


@rule
def greeted(_hello: Hello, t: Arrived[Hello, None, Seen]) -> Effects[Seen, Any]:
    """State: seen. Messages, timers, engines: none."""
    return also(t, f"hello from {t.sender}")


@rule
def leave(_quit: Quit, _t: Arrived[Quit, None, Seen]) -> Effects[Seen, Any]:
    """The engine ends. State, messages, timers: none."""
    return Stop()


CHILD = Family("child", state=Seen(), accepts=Hello | Quit).rules(greeted, leave)


@rule
def make(_make: Make, t: Arrived[Make, None, Seen]) -> Effects[Seen, Hello]:
    """Engines: a child. Messages: hello to it. State: seen. Timers: none."""
    return [Spawn(CHILD, "child"), Send(Ref[Hello](t.me.child("child")), Hello()), Become(also(t, "made"))]


PARENT = Family("parent", state=Seen(), accepts=Make, emits=Hello, spawns=[CHILD]).rules(make)


def test_a_child_is_born_and_gets_mail_that_was_there_before_it() -> None:
    """False if mail to a child were dropped before its birth, or a child were born without its mail."""
    messages = [Envelope("p/child", Hello()), Envelope("p", Make())]
    space, found = explored(System(name="births", members=[Member("p", PARENT)], messages=messages))
    ends = {seen.names for seen in states_of(space, found, "p/child")}
    assert ends >= {("hello from outside", "hello from p"), ("hello from p", "hello from outside")}
    assert found.counts.states == 6  # nothing, made, one greeted by either, both in either order


def test_an_engine_that_ended_gets_no_mail_and_its_mail_is_gone() -> None:
    """False if the dead took messages, or their mail told states apart for ever."""
    messages = [Envelope("c", Quit()), Envelope("c", Hello()), Envelope("nobody", Hello())]
    space, found = explored(System(name="ends", members=[Member("c", CHILD)], messages=messages))
    for state in found.states:
        view = space.view(state)
        if view.engine("c").status == "stopped":
            assert view.in_transit == ()
    assert found.counts.states == 4  # neither, greeted, ended, greeted then ended


class Pair(Message):
    """Half of a join."""

    side: int


class Joined(Value):
    """State: how often both halves came together."""

    count: int = 0


def test_stored_messages_are_numbered_anew_so_that_the_space_is_finite() -> None:
    """False if the numbers of stored messages, which grow for ever, told equal states apart."""
    standing = [Envelope("j", Pair(0)), Envelope("j", Pair(1))]
    forget = System(name="joins", members=[Member("j", RESETTING)], standing=standing)
    _, found = explored(forget)
    assert not found.ended
    assert found.counts.states == 3


def reset(t: Arrived[Pair, None, Joined]) -> Any:
    """The stored message, whichever half it is."""
    return next(iter(t.env.mailboxes[0].stored), None)


@rule(when=reset)
def empty(stored: Any, _t: Arrived[Pair, None, Joined]) -> Effects[Joined, Any]:
    """The stored half is used up. State, messages, timers, engines: none."""
    return Consume(stored)


RESETTING = Family("resetting", state=Joined(), accepts=Pair).rules(empty)


class Divide(Message):
    """Raises for 0."""

    by: int


@rule
def divide(order: Divide, _t: Arrived[Divide, None, Joined]) -> Effects[Joined, Any]:
    """State: the quotient. Messages, timers, engines: none."""
    return Joined(6 // order.by)


DIVIDER = Family("divider", state=Joined(), accepts=Divide).rules(divide)


def test_a_rule_that_raises_is_found_with_the_way_to_it() -> None:
    """False if a failing rule passed a check, or could not be found again."""
    messages = [Envelope("d", Divide(2)), Envelope("d", Divide(0))]
    system = System(name="division", members=[Member("d", DIVIDER)], messages=messages)
    space, found = explored(system)
    violation = found.violations[0]
    assert violation.property == "no rule raises"
    assert "ZeroDivisionError" in violation.what
    trace = trace_of(space, violation.path)
    assert [step.envelope.message.by for step in trace.steps if step.envelope] == [0]
    _, allowed = explored(system, allows_failures=True)
    assert (allowed.violations, allowed.counts.states) == ([], 4)


def test_a_node_fault_costs_a_volatile_engine_its_state_and_its_children() -> None:
    """False if an engine kept what a fault takes, a durable one lost it, or a child outlived its parent."""
    messages = [Envelope("p", Make())]
    volatile = System(name="faults", members=[Member("p", PARENT)], messages=messages)
    space, found = explored(volatile, faults=1)
    ends = {
        (view.state("p").names, view.engine("p/child").status) for view in _views(space, found) if "p/child" in view
    }
    assert ends == {(("made",), "running"), ((), "stopped")}
    durable = System(name="faults", members=[Member("p", PARENT, is_durable=True)], messages=messages)
    space, found = explored(durable, faults=1)
    assert {view.state("p").names for view in _views(space, found)} == {(), ("made",)}
    assert found.counts.states == 3


def test_an_engine_may_go_over_to_a_later_version_at_any_point() -> None:
    """False if a reload were tried at the beginning or at rest only, or a state were not migrated."""

    @rule
    def greeted_now(_hello: Hello, t: Arrived[Hello, None, Later]) -> Effects[Later, Any]:
        """State: seen, by this version. Messages, timers, engines: none."""
        return Later((*t.env.state.seen, "new"))

    @rule
    def leave_now(_quit: Quit, _t: Arrived[Quit, None, Later]) -> Effects[Later, Any]:
        """The engine ends. State, messages, timers: none."""
        return Stop()

    later = Family(
        "child", state=Later(), accepts=Hello | Quit, migrate=lambda old: Later((*old["names"], "migrated"))
    ).rules(greeted_now, leave_now)
    messages = [Envelope("c", Hello(), sender) for sender in ("x", "y")]
    system = System(name="reload", members=[Member("c", CHILD)], messages=messages, reloads={CHILD: later})
    ends = {state.seen for state in states_of(*explored(system), "c") if isinstance(state, Later)}
    assert ("migrated", "new", "new") in ends
    assert ("hello from x", "migrated", "new") in ends
    assert ("hello from x", "hello from y", "migrated") in ends


class Later(Value):
    """State of a later version."""

    seen: tuple[str, ...] = ()


def _views(space: Any, found: Any) -> list[Any]:
    return [space.view(state) for state in found.states]
