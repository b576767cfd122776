"""What must happen sooner or later: against the plain definition, and on patterns that are often missed."""

from __future__ import annotations

import random
from itertools import chain, combinations, pairwise
from pathlib import Path
from typing import Any

from engines.model import Arrived, Effects, Family, Message, Ref, Send, Value, rule
from engines.model.system import Envelope, Member, System
from engines.model.system_view import SystemView
from host.check.liveness import Edge, Graph, Lasso, never
from host.check.properties import Property
from host.check.run import LIVENESS, CheckRequest, check
from host.check.trace import lines, trace_of

from .exploring import explored

ROOT = str(Path(__file__).resolve().parents[3])


def graph_of(edges: list[tuple[Edge, ...]]) -> Graph:
    """A graph of these steps, without a space behind it."""
    graph = Graph.__new__(Graph)
    graph.edges = edges
    graph.states = [(number,) for number in range(len(edges))]
    return graph


def random_graph(seed: int) -> list[tuple[Edge, ...]]:
    """A few states with a few steps."""
    chance = random.Random(seed)
    size = chance.randint(1, 6)
    owed = (None, "a", "b")
    return [
        tuple(Edge(chance.randrange(size), chance.choice(owed)) for _ in range(chance.choice((0, 1, 1, 2, 3))))
        for _ in range(size)
    ]


def has_fair_run(edges: list[tuple[Edge, ...]], avoids: list[bool]) -> bool:
    """The definition: a fair run visits some set of states for ever, all of them again and again, or ends.

    In the set each state is reached from each by steps inside, and what some state allows, some step inside does.
    """
    reached, todo = set[int](), [] if avoids[0] else [0]
    while todo:
        state = todo.pop()
        if state not in reached:
            reached.add(state)
            todo += [edge.to for edge in edges[state] if not avoids[edge.to]]
    if any(all(edge.owed is None for edge in edges[state]) for state in reached):
        return True
    subsets = chain.from_iterable(combinations(sorted(reached), n) for n in range(1, len(reached) + 1))
    return any(_is_fair_set(edges, set(subset)) for subset in subsets)


def _is_fair_set(edges: list[tuple[Edge, ...]], some: set[int]) -> bool:
    def reach(begin: int) -> set[int]:
        met, todo = set[int](), [begin]
        while todo:
            for edge in edges[todo.pop()]:
                if edge.to in some and edge.to not in met:
                    met.add(edge.to)
                    todo.append(edge.to)
        return met

    if any(reach(state) != some for state in some):
        return False
    allowed = {edge.owed for state in some for edge in edges[state]} - {None}
    return allowed <= {edge.owed for state in some for edge in edges[state] if edge.to in some}


def test_a_fair_run_is_found_exactly_when_there_is_one() -> None:
    """False if a run that keeps a promise for ever is missed, or one is invented."""
    answers = set()
    for seed in range(3_000):
        edges = random_graph(seed)
        avoids = [random.Random(f"{seed} {state}").random() < 0.2 for state in range(len(edges))]
        lasso = never(graph_of(edges), [0], avoids)
        assert (lasso is not None) == has_fair_run(edges, avoids), seed
        answers.add((lasso is not None, lasso is not None and lasso.loop is None))
        if lasso is not None:
            assert_is_fair(edges, avoids, lasso)
    assert answers == {(False, False), (True, True), (True, False)}


def assert_is_fair(edges: list[tuple[Edge, ...]], avoids: list[bool], lasso: Lasso) -> None:
    """A lasso is a run, avoids what it should, and does in its loop whatever a state of the loop allows."""
    path, loop = lasso.path, lasso.loop
    assert path[0] == 0
    assert not any(avoids[state] for state in path)
    for before, after in pairwise(path):
        assert after in {edge.to for edge in edges[before]}
    if loop is None:
        assert all(edge.owed is None for edge in edges[path[-1]])
        return
    assert path[-1] == path[loop]
    assert len(path) - 1 > loop
    rounds = list(pairwise(path[loop:]))
    done = {edge.owed for before, after in rounds for edge in edges[before] if edge.to == after}
    assert {edge.owed for state in path[loop:] for edge in edges[state]} - {None} <= done


class Token(Message):
    """Goes round."""


class Poke(Message):
    """Wakes the receiver once."""


class Woken(Value):
    """State: whether it was woken."""

    is_woken: bool = False


@rule
def pass_on(token: Token, t: Arrived[Token, None, Woken]) -> Effects[Woken, Token]:
    """Messages: the token, to the engine itself. State, timers, engines: none."""
    return Send(Ref[Token](t.me.name), token)


@rule
def wake(_poke: Poke, _t: Arrived[Poke, None, Woken]) -> Effects[Woken, Token]:
    """State: woken. Messages, timers, engines: none."""
    return Woken(True)


SPINNER = Family("spinner", state=Woken(), accepts=Token | Poke, emits=Token).rules(pass_on, wake)


def woken(view: SystemView) -> bool:
    """The engine was woken."""
    return bool(view.state("s").is_woken)


def lasso_of(system: System, *properties: Property) -> Any:
    """The violations of a system's liveness properties."""
    space, found = explored(system)
    graph = Graph(space, found.states)
    return never(graph, [0], graph.where(properties[0].holds))


def test_a_cycle_in_which_nothing_happens_is_a_violation() -> None:
    """False if a run that goes round for ever passed, as where only the ends of paths are looked at."""
    ever_round = System(name="cycle", members=[Member("s", SPINNER)], messages=[Envelope("s", Token())])
    lasso = lasso_of(ever_round, Property("eventually", woken))
    assert lasso.loop is not None


def test_a_message_that_was_sent_is_not_put_off_for_ever() -> None:
    """False if a token that goes round kept a sent message out for ever: the model promises its delivery."""
    messages = [Envelope("s", Token(), "s"), Envelope("s", Poke())]
    system = System(name="fair", members=[Member("s", SPINNER)], messages=messages)
    assert lasso_of(system, Property("eventually", woken)) is None
    lost = System(name="lossy", members=[Member("s", SPINNER)], messages=messages, network="lossy")
    assert lasso_of(lost, Property("eventually", woken)) is not None
    standing = System(name="may", members=[Member("s", SPINNER)], messages=messages[:1], standing=messages[1:])
    assert lasso_of(standing, Property("eventually", woken)) is not None


class Step(Message):
    """Go a step on one of two ways that join."""

    way: int


class Place(Value):
    """State: where it is, and whether it went by way 1."""

    at: int = 0


@rule
def move(step: Step, t: Arrived[Step, None, Place]) -> Effects[Place, Any]:
    """State: by way 1 over place 1, by way 2 over place 2, both to place 3. Messages, timers, engines: none."""
    here = t.env.state.at
    if here == 0:
        return Place(step.way)
    return Place(3) if here in (1, 2) else Place(here)


WALKER = Family("walker", state=Place(), accepts=Step).rules(move)


def went_by_1(view: SystemView) -> bool:
    """The walker is on way 1."""
    return bool(view.state("w").at == 1)


def test_runs_that_join_with_something_still_owed_are_told_apart() -> None:
    """False if a run was taken to have kept a promise because another one, that came to the same state first, had."""
    messages = [Envelope("w", Step(1)), Envelope("w", Step(2))]
    system = System(name="join", members=[Member("w", WALKER)], messages=messages)
    lasso = lasso_of(system, Property("eventually", went_by_1))
    assert lasso.loop is None
    space, found = explored(system)
    graph = Graph(space, found.states)
    assert [space.view(graph.states[state]).state("w").at for state in lasso.path] == [0, 2, 3]


TOKEN_ROUND = System(
    name="round",
    members=[Member("s", SPINNER)],
    messages=[Envelope("s", Token())],
    eventually=[woken],
    leads_to=[(lambda view: True, woken)],
)


def test_a_check_shows_the_loop_and_what_it_violates() -> None:
    """False if a violation of liveness were shown without the steps that repeat."""
    report = check(CheckRequest(subject=f"{__name__}:TOKEN_ROUND", roots=(ROOT,)))
    assert [verdict.decided for verdict in report.verdicts] == ["violated", "violated"]
    for violation in report.found.violations:
        shown = list(lines(report.space, trace_of(report.space, violation.path, violation.loop)))
        assert "and from here on, for ever:" in shown
    assert LIVENESS == ("eventually", "leads_to")
