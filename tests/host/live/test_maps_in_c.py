"""Maps in the state of an engine, checked in C: the same verdicts, values and marks as by the check in Python."""

from __future__ import annotations

import sys
from random import Random
from typing import Any

import pytest
from cycle_worlds import FOLDER, Step, world

from engines.model import load_family
from engines.model.conform_parts import MapCheck
from transport.native import native_available, native_reason

pytestmark = pytest.mark.skipif(not native_available(), reason=f"no native lanes: {native_reason()}")

MAPPING: Any = load_family("mapping:MAPPING", (str(FOLDER),))
mapping: Any = sys.modules["mapping"]
KEYS = (b"a", b"bb", b"ccc")


def order(way: str, key: bytes) -> Any:
    return mapping.SetRow(way, key)


def marks(made: Any) -> list[Any]:
    """What each map of the state says of its last check."""
    state = made.worker.scheduler.cells["e"].env.state
    return [[(mark and mark.height), sorted(map(str, keys))] for mark, keys in map(_unchecked, _maps(state))]


def _maps(state: Any) -> list[Any]:
    return [state.rows, state.counts, state.levels]


def _unchecked(one: Any) -> Any:
    return one.unchecked()


@pytest.mark.parametrize("seed", range(20))
def test_any_changes_come_out_alike(seed: int) -> None:
    """False if C took a value that Python refuses, refused one that it takes, or measured another depth."""
    chance = Random(seed)
    ways = [chance.choice(list(mapping.WAYS) if chance.random() < 0.3 else mapping.KEPT) for _ in range(60)]
    with world(MAPPING, {}, True) as fast, world(MAPPING, {}, False) as plain:
        for at in range(0, len(ways), 3):
            frame = [order(way, chance.choice(KEYS)) for way in ways[at : at + 3]]
            step = Step(at, "p", 0, frame)
            assert fast.play(step) == plain.play(step), ways[: at + 3]
            assert marks(fast) == marks(plain)
        assert fast.worker.scheduler.cells["e"].failed == sum(way not in mapping.KEPT for way in ways)


def test_a_map_that_was_checked_before_is_not_checked_in_python(monkeypatch: pytest.MonkeyPatch) -> None:
    """False if C handed each changed map to Python, which costs several times the rest of the transition."""
    with world(MAPPING, {}, True) as fast:
        fast.play(Step(0, "p", 0, [order("grow", key) for key in KEYS]))

        def refuse(*_arguments: Any) -> None:
            raise AssertionError("checked in Python")

        monkeypatch.setattr(MapCheck, "__call__", refuse)
        fast.play(Step(1, "p", 0, [order("grow", key) for key in KEYS] + [order("remove", b"a")]))
        cell = fast.worker.scheduler.cells["e"]
        assert cell.failed == 0
        assert {key: len(row.cells) for key, row in cell.env.state.rows.items()} == {b"bb": 2, b"ccc": 2}
