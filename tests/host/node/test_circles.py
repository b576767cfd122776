"""Circles of stopped engines: what is found in a graph, and what two looks have to agree on."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from host.node.circles import Allowance, Looks, Loss, Stuck, circles

Graph = dict[str, list[str]]

graphs = st.dictionaries(
    st.sampled_from("abcdefgh"), st.lists(st.sampled_from("abcdefghz"), max_size=4, unique=True), max_size=8
)
histories = st.lists(st.dictionaries(st.sampled_from("abcde"), st.tuples(st.sampled_from("abcde"), st.booleans())))


def reaches(graph: Mapping[str, list[str]], start: str, goal: str) -> bool:
    """The naive search: whatever can be reached, step by step."""
    reached = set(graph.get(start, ()))
    for _ in graph:
        reached |= {target for name in reached for target in graph.get(name, ())}
    return goal in reached


@given(graphs)
def test_circles_are_disjoint_real_and_leave_none(graph: Graph) -> None:
    """False if an engine outside every circle were called one, two circles shared an engine, or one were missed."""
    found = circles(graph)
    members = [name for circle in found for name in circle]
    assert len(members) == len(set(members))
    for circle in found:
        assert circle[0] == min(circle)
        assert all(after in graph[name] for name, after in pairwise((*circle, circle[0])))
    rest = {name: targets for name, targets in graph.items() if name not in members}
    assert not any(reaches(rest, name, name) for name in rest)
    assert bool(found) == any(reaches(graph, name, name) for name in graph)


@given(graphs, st.randoms())
def test_the_order_in_which_workers_answer_means_nothing(graph: Graph, random: object) -> None:
    """False if the same node got different reliefs from run to run."""
    names = list(graph)
    random.shuffle(names)  # type: ignore[attr-defined]
    assert circles({name: list(reversed(graph[name])) for name in names}) == circles(graph)


@pytest.mark.storm
def test_a_long_chain_takes_no_recursion() -> None:
    """False if a node of many engines overran the stack, or its search took more than a look lasts."""
    graph = {str(n): [str(n + 1)] for n in range(100_000)}
    assert circles(graph) == []
    [circle] = circles({**graph, "100000": ["0"]})
    assert len(circle) == 100_001


def stuck(engine: str, *targets: str, handled: int = 0, is_spent: bool = False, process: int = 1) -> Stuck:
    return Stuck(engine, process, tuple(sorted(targets)), handled, 0, is_spent)


def test_only_what_stood_still_between_two_looks_is_relieved() -> None:
    """False if answers of different instants made a circle of engines that were never in one."""
    a, b = stuck("a", "b"), stuck("b", "a")
    looks = Looks()
    assert looks.reliefs([a, b]) == []
    assert looks.reliefs([a, msgspec.structs.replace(b, handled=1)]) == []
    assert looks.reliefs([msgspec.structs.replace(a, process=2), msgspec.structs.replace(b, handled=1)]) == []
    assert looks.reliefs([a]) == []
    assert looks.reliefs([a, b]) == []
    assert looks.reliefs([a, b]) == [Allowance(("a", "b"), "a", 1)]
    assert looks.reliefs([]) == []


def test_first_an_allowance_then_a_loss() -> None:
    """False if a message were lost before the allowance was spent, or a circle that spent it stood for ever."""
    ring = [stuck("a", "b", is_spent=True), stuck("b", "c"), stuck("c", "a", process=3)]
    looks = Looks()
    looks.reliefs(ring)
    assert looks.reliefs(ring) == [Loss(("a", "b", "c"), "c", "a", 3)]


@given(histories)
def test_a_relief_names_a_circle_of_both_looks(history: list[dict[str, tuple[str, bool]]]) -> None:
    """False if a circle of two looks together were taken for one of each."""
    looks, last = Looks(), dict[str, Stuck]()
    for number, look in enumerate(history):
        now = {name: stuck(name, to, handled=number if moved else 0) for name, (to, moved) in look.items()}
        for relief in looks.reliefs(now.values()):
            for name, after in pairwise((*relief.circle, relief.circle[0])):
                assert now[name] == last[name]
                assert now[name].targets == (after,)
        last = now
