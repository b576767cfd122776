"""The value law in a worker: what breaks it changes nothing, and what keeps it reads back as it is."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cycle_worlds import FOLDER, Mode, Step, World, recovered, world
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engines.model import Message, load_family
from host.live.worker.views import show
from transport.native import native_available, native_reason

pytestmark = pytest.mark.skipif(not native_available(), reason=f"no native lanes: {native_reason()}")

LAWLESS: Any = load_family("lawless:LAWLESS", (str(FOLDER),))
lawless: Any = sys.modules["lawless"]
WAYS = [*lawless.STATES, *lawless.EFFECTS]
KEPT = {
    *("fine", "set", "int for float", "most of 64 bits", "not so deep", "not a number", "send", "note", "timer", "put"),
    *("send an int for a float", "child", "store"),
}
"""The ways that keep the law; all others fail, or are no message of the family."""
QUESTIONS = ["numbers", "odd text", "fraction", "sides"]
LAWS = settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def do(way: str) -> Message:
    message: Message = lawless.Do(way, "q")
    return message


def told(value: Any) -> Any:
    """A value with every type in it named."""
    kind = type(value)
    if isinstance(value, msgspec.Struct):
        return kind, [told(getattr(value, name)) for name in value.__struct_fields__]
    if hasattr(value, "items"):
        return kind, [(told(key), told(held)) for key, held in value.items()]
    return (kind, [told(part) for part in value]) if kind is tuple else (kind, repr(value))


def reads_back(made: World) -> bool:
    """Whether the engine's environment is what its bytes give, and can be looked at."""
    cell = made.worker.scheduler.cells["e"]
    for kind in ("state", "timers", "mailbox", "stats"):
        msgspec.json.encode(show(kind, [cell], 0))
    return bool(told(LAWLESS.load(LAWLESS.dump(cell.env))) == told(cell.env))


@pytest.mark.parametrize("way", WAYS)
def test_each_way_to_break_it_fails_its_transition_alone(way: str) -> None:
    """False if a rule that breaks the law changed anything, ran twice, or stopped its neighbour in the frame."""
    with world(LAWLESS, {}, True) as fast, world(LAWLESS, {}, False) as plain:
        lawless.RAN.clear()
        seen = fast.play(Step(0, "p", 0, [do("fine"), do(way), do("fine")]))
        # What C hands over as uncommon, though right, runs again; what fails does not.
        assert ["fine", way, "fine"] == lawless.RAN or way in KEPT
        assert seen == plain.play(Step(0, "p", 0, [do("fine"), do(way), do("fine")]))
        cell = fast.worker.scheduler.cells["e"]
        assert cell.failed == (way not in KEPT)
        assert reads_back(fast)
        if way not in KEPT:
            assert cell.env.state.total == 2


@pytest.mark.parametrize("way", QUESTIONS)
def test_a_question_that_cannot_be_asked_fails(way: str) -> None:
    """False if an engine stood at a question that no snapshot and no command could show."""
    with world(LAWLESS, {}, True) as fast:
        fast.play(Step(0, "p", 1, [lawless.Question(way)]))
        cell = fast.worker.scheduler.cells["e"]
        assert (cell.failed, cell.suspension) == (1, None)


@pytest.mark.storm
@pytest.mark.parametrize("mode", ["volatile", "crash"])
@LAWS
@given(ways=st.lists(st.lists(st.sampled_from([*WAYS, *KEPT]), min_size=1, max_size=6), min_size=1, max_size=5))
def test_programs_that_break_it_come_out_alike(
    mode: Mode, ways: list[list[str]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """False if C, Python and a recovery from the log differed, or anything that was written could not be read."""
    one, two = (str(tmp_path_factory.mktemp(name)) if mode != "volatile" else "" for name in ("one", "two"))
    with world(LAWLESS, {}, True, one, mode) as fast, world(LAWLESS, {}, False, two, mode) as plain:
        for at, frame in enumerate(ways):
            step = Step(at * 7, "p", 0, list(map(do, frame)))
            assert fast.play(step) == plain.play(step)
            assert reads_back(fast)
            if one:
                assert recovered(one, LAWLESS) == recovered(two, LAWLESS)


def test_an_int_for_a_float_is_the_same_before_and_after_a_recovery(tmp_path: Path) -> None:
    """False if a rule saw an int live where it sees a float once its state was read."""
    with world(LAWLESS, {}, True, str(tmp_path), "crash") as fast:
        fast.play(Step(0, "p", 0, [do("int for float"), do("send an int for a float")]))
        state = fast.worker.scheduler.cells["e"].env.state
        assert [type(state.level), type(state.table["i"]), type(state.parts[0].size)] == [float] * 3
        assert recovered(str(tmp_path), LAWLESS)["e"]
