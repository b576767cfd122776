"""Systems that were once explored wrongly: one for each rule of the checker that they broke."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from engines.model import (
    Arrived,
    Become,
    Choose,
    Config,
    Effects,
    Family,
    Interaction,
    Message,
    Ref,
    Send,
    Spawn,
    Value,
    interactive_rule,
    rule,
)
from engines.model.system import Envelope, Member, System
from engines.model.system_view import SystemView
from host.check.again import StillViolated, follow
from host.check.local import CheckError, Engines
from host.check.properties import Property
from host.check.reduction import searched
from host.check.run import CheckRequest, check
from host.check.search import Exploration
from host.check.space import Space
from host.check.written import test_text as written

from .exploring import NEEDS_SHARED, explored, states_of

ROOT = str(Path(__file__).resolve().parents[3])


class Ping(Message):
    """Carries a word."""

    word: str = ""


class Go(Message):
    """Begin."""


class Heard(Value):
    """State: the words heard."""

    words: tuple[str, ...] = ()


@rule
def hear(ping: Ping, t: Arrived[Ping, None, Heard]) -> Effects[Heard, Ping]:
    """State: the first word is kept; told to w, but by w itself. Messages: as said. Timers, engines: none."""
    if t.env.state.words or ping.word == "nothing":
        return []
    kept = Become(Heard((ping.word,)))
    return kept if t.me.name == "w" else [kept, Send(Ref[Ping]("w"), Ping(ping.word))]


LISTENER = Family("listener", state=Heard(), accepts=Ping, emits=Ping).rules(hear)


@rule
def call(_go: Go, _t: Arrived[Go, None, Heard]) -> Effects[Heard, Ping]:
    """Messages: a ping, to x. State, timers, engines: none."""
    return Send(Ref[Ping]("x"), Ping("kid"))


CALLER = Family("caller", state=Heard(), accepts=Go, emits=Ping).rules(call)


@rule
def bear(_go: Go, _t: Arrived[Go, None, Heard]) -> Effects[Heard, Any]:
    """Engines: a caller with words of its own. State, messages, timers: none."""
    return Spawn(CALLER, "kid", state=Heard(("given",)))


PARENT = Family("parent", state=Heard(), accepts=Go, spawns=[CALLER]).rules(bear)


def not_the_kid_first(view: SystemView) -> bool:
    """The listener behind x heard somebody else first."""
    return bool(view.state("w").words != ("kid",))


def test_an_engine_that_may_yet_be_born_can_send_too() -> None:
    """False if the reduction let an engine act alone although a child, yet to be born, would send to it."""
    members = [Member("p", PARENT), Member("x", LISTENER), Member("w", LISTENER)]
    messages = [Envelope("p", Go()), Envelope("p/kid", Go()), Envelope("x", Ping("early"))]
    space = Space(System(name="births", members=members, messages=messages), Engines())
    claim = Property("always", not_the_kid_first)
    assert searched(space, lambda expand: Exploration(space, [claim], expand=expand)).found.violations


def test_the_head_of_a_queue_leaves_it_even_if_it_changes_nothing() -> None:
    """False if an idle delivery, which is no step with --ignore-idle, held back the messages behind it."""
    messages = [Envelope("w", Ping("nothing")), Envelope("w", Ping("second"))]
    system = System(name="queue", members=[Member("w", LISTENER)], messages=messages, network="ordered")
    assert Heard(("second",)) in states_of(*explored(system, ignores_idle=True), "w")


def counted(history: int, _envelope: Envelope, is_sent: bool) -> int:
    """How many messages were delivered, up to three."""
    return history if is_sent else min(history + 1, 3)


@pytest.mark.parametrize("is_standing", [True, False])
def test_a_delivery_that_changes_only_the_history_is_a_step(is_standing: bool) -> None:
    """False if what a system records of its deliveries were not explored."""
    idle = [Envelope("w", Ping("nothing"))]
    system = System(
        name="record",
        members=[Member("w", LISTENER)],
        standing=idle if is_standing else [],
        messages=[] if is_standing else idle,
        network="duplicating",
        history=0,
        record=counted,
    )
    assert explored(system)[1].counts.states == 4


class Left(Value):
    """One of two values with equal fields."""

    number: int


class Right(Value):
    """The other."""

    number: int


def sided(history: tuple[Any, ...], envelope: Envelope, is_sent: bool) -> tuple[Any, ...]:
    """The side of the last message that was delivered."""
    return history if is_sent else (Left(1) if envelope.message.word == "a" else Right(1),)


def test_histories_of_different_types_differ() -> None:
    """False if two histories whose values have equal fields, of different types, were taken for one."""
    messages = [Envelope("w", Ping("nothing"), "a"), Envelope("w", Ping("a"), "b")]
    system = System(name="sides", members=[Member("w", LISTENER)], messages=messages, history=(), record=sided)
    space, found = explored(system)
    last = {type(space.view(state).history[0]) for state in found.states if not space.view(state).in_transit}
    assert last == {Left, Right}


def test_a_record_that_raises_is_named() -> None:
    """False if a mistake in a record ended in an internal error of the checker."""

    def broken(_history: Any, _envelope: Envelope, _is_sent: bool) -> Any:
        raise KeyError("gone")

    system = System(name="broken", members=[Member("w", LISTENER)], messages=[Envelope("w", Ping())], record=broken)
    with pytest.raises(CheckError, match="record of broken raised KeyError"):
        explored(system)


def test_a_node_fault_begins_anew_from_the_first_state_an_engine_was_given() -> None:
    """False if a fault gave an engine its family's state in place of its own."""
    members = [Member("w", LISTENER, state=Heard(("given",))), Member("p", PARENT)]
    system = System(name="faults", members=members, messages=[Envelope("p", Go())])
    space, found = explored(system, faults=1)
    assert states_of(space, found, "w") == states_of(space, found, "p/kid") == {Heard(("given",))}


class Peer(Config):
    """Whom an engine asks for."""

    name: str


@interactive_rule
def ask(_go: Go, t: Arrived[Go, Peer, Heard]) -> Interaction[Heard, Any]:
    """State: the answer. Messages, timers, engines: none."""
    answer = yield from Choose([f"{t.config.name}", "at: 10", "at: 11"])
    return Heard((answer,))


ASKER = Family("asker", config=Peer, state=Heard(), accepts=Go).rules(ask)


def two_askers() -> System:
    """Two engines, each of which may answer with the other's name."""
    members = [Member("a", ASKER, Peer("b")), Member("b", ASKER, Peer("a"))]
    return System(name="askers", members=members, messages=[Envelope("a", Go()), Envelope("b", Go())])


def test_questions_have_the_names_of_the_state_that_stands_for_theirs() -> None:
    """False if an engine under another name kept the question of the first: its answers would not fit."""
    plain = explored(two_askers())[1]
    reduced = explored(two_askers(), symmetric=[["a", "b"]])[1]
    assert (plain.violations, reduced.violations) == ([], [])
    assert plain.counts.states / 2 < reduced.counts.states < plain.counts.states


def not_eleven(view: SystemView) -> bool:
    """Nobody chose the last option."""
    return all(engine.state.words != ("at: 11",) for engine in view.engines())


def a_raising_system() -> System:
    """Two engines whose rule raises."""

    return System(
        name="raising",
        members=[Member("a", RAISER), Member("b", RAISER)],
        messages=[Envelope("a", Go()), Envelope("b", Go())],
    )


@rule
def fail(_go: Go, _t: Arrived[Go, None, Heard]) -> Effects[Heard, Any]:
    """Raises."""
    raise ZeroDivisionError("as planned")


RAISER = Family("raiser", state=Heard(), accepts=Go).rules(fail)

ASKERS = System(
    name="askers",
    members=[Member("a", ASKER, Peer("b"))],
    messages=[Envelope("a", Go())],
    standing=[Envelope("a", Go())],
    always=[not_eleven],
)


@pytest.mark.parametrize(
    "options", [{"symmetric": (("a", "b"),)}, pytest.param({"workers": 2}, marks=NEEDS_SHARED), {}]
)
def test_a_rule_that_raises_is_found_under_symmetry_and_by_workers(
    options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """False if a failing rule crashed the checker where states are exchanged or shared."""
    from host.check import workers

    monkeypatch.setattr(workers, "LEVEL_MIN", 1)
    subject = f"{__name__}:a_raising_system"
    report = check(CheckRequest(subject=subject, roots=(ROOT,), **options))
    [violation] = report.found.violations
    assert violation.what.splitlines()[0] == "ZeroDivisionError: as planned"
    assert len(violation.path) == 2


def test_a_counterexample_takes_the_answer_and_the_message_that_it_took(tmp_path: Path) -> None:
    """False if the test that is written followed another option of the same beginning, or another copy of a message."""
    request = CheckRequest(subject=f"{__name__}:ASKERS", roots=(ROOT,))
    report = check(request)
    text = written(request, report, report.found.violations[0])
    names: dict[str, Any] = {}
    exec(compile(text, "written", "exec"), names)
    with pytest.raises(StillViolated, match="not_eleven does not hold after 2 steps"):
        next(value for name, value in names.items() if name.startswith("test_"))()


def test_a_way_that_no_longer_is_possible_is_no_violation() -> None:
    """False if a test that was written failed on a system that was mended."""
    follow(f"{__name__}:ASKERS", ["deliver nobody -> a Go {}"], "always not_eleven", roots=(ROOT,))
    with pytest.raises(CheckError, match="has no property 'always bold'; it has always not_eleven"):
        follow(f"{__name__}:ASKERS", [], "always bold", roots=(ROOT,))


def test_liveness_and_exchanged_names_do_not_go_together() -> None:
    """False if what is owed to one name were taken for done by another one."""
    subject = "engines.protocols.raft_election:SYSTEM"
    with pytest.raises(CheckError, match="leave --symmetry out"):
        check(CheckRequest(subject=subject, uses_declared_symmetry=True))


def test_a_property_that_is_no_truth_value_is_said() -> None:
    """False if a property that returns nothing passed for one that does not hold."""

    def forgets(view: SystemView) -> Any:
        view.engines()

    found = explored(ASKERS, Property("always", forgets))[1]
    assert found.violations[0].what == "`forgets` returned None, which is neither True nor False"
