"""The table of visited states that processes share."""

from __future__ import annotations

import itertools
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.protocols.two_phase_commit import SYSTEM
from host.check.local import CheckError, Engines
from host.check.search import Exploration
from host.check.space import Space
from host.check.visited import OwnVisited

SharedVisited = pytest.importorskip("host.check._visited").SharedVisited

PRINTS = st.integers(0, 30) | st.integers(0, 2**64 - 1)


@given(st.lists(st.tuples(PRINTS, PRINTS), max_size=200), st.integers(1, 3))
def test_it_is_a_dict_that_keeps_the_first(states: list[tuple[int, int]], bits: int) -> None:
    """False if a state were lost, met twice, or had another parent than the first, also where tables are full."""
    table, model = SharedVisited(bits), OwnVisited()
    for print_, parent in states:
        assert (print_ in table) == (print_ in model)
        assert table.add(print_, parent) == model.add(print_, parent)
        assert len(table) == len(model)
    for print_, parent in model.items():
        assert table.parent(print_) == parent


def test_of_processes_that_add_a_state_one_has_it() -> None:
    """False if two processes took one state for new, or neither did."""
    count, workers, table = 20_000, 3, SharedVisited(1)
    step = 0x9E3779B97F4A7C15  # spreads numbers over 64 bits, each once
    reading, writing = os.pipe()
    for number in range(workers):
        if os.fork() == 0:
            new = 0
            for at in range(count):
                one = (at + number * count // 4 + 1) * step % 2**64
                new += table.add(one, number + 1)
            os.write(writing, new.to_bytes(8, "little"))
            os._exit(0)
    os.close(writing)
    for _ in range(workers):
        os.wait()
    with os.fdopen(reading, "rb") as end:
        wins = [int.from_bytes(end.read(8), "little") for _ in range(workers)]
    assert sum(wins) == len(table) == count + (workers - 1) * count // 4
    assert all(1 <= table.parent((at + 1) * step % 2**64) <= workers for at in range(len(table)))


def test_what_does_not_fit_is_an_error() -> None:
    """False if a state were dropped in silence when all tables are full."""
    table = SharedVisited(1, 1)
    room = [table.add(print_, 0) for print_ in itertools.takewhile(lambda _: len(table) < 8, itertools.count(1))]
    with pytest.raises(MemoryError, match="no room for another state"):
        list(map(table.add, range(100, 200), range(100, 200)))
    assert (all(room), len(table) <= 16, table.add(1, 7)) == (True, True, False)


def test_a_search_without_room_says_so() -> None:
    """False if a search without memory left ended with a traceback, or with a verdict."""
    search = Exploration(Space(SYSTEM(3), Engines()), [])
    search.found.seen = SharedVisited(1, 2)
    with pytest.raises(CheckError, match=r"memory is full after \d+ states .*--states or --depth"):
        search.run()


@pytest.mark.parametrize("wrong", [-1, 2**64, "one"])
def test_what_is_no_fingerprint_is_refused(wrong: object) -> None:
    """False if a number were cut off to 64 bits."""
    table = SharedVisited()
    for call in (lambda: table.add(wrong, 1), lambda: table.add(1, wrong), lambda: table.parent(wrong)):
        with pytest.raises((OverflowError, TypeError)):
            call()
    with pytest.raises(KeyError):
        table.parent(5)
