from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from host.config.placement import SLOT_LAST, NoSlot, free_slot, lay_out
from host.config.spec import EngineSpec, Placement
from transport.port import SLOTS_MAX


def engine(name: str, **placement: Any) -> EngineSpec:
    return EngineSpec(name, f"examples:{name.upper()}", placement=Placement(**placement))


def shape(*engines: EngineSpec, devices: str = "") -> list[tuple[int, str, bool, int | None]]:
    plans = lay_out(engines, frozenset(devices.split()))
    return [(plan.slot, " ".join(plan.engines), plan.device, plan.core) for plan in plans]


def test_last_slot_is_the_transports() -> None:
    """A layout that fits here would not fit into a slot's memory."""
    assert SLOT_LAST == SLOTS_MAX - 1


CASES: list[tuple[list[EngineSpec], str, list[tuple[int, str, bool, int | None]]]] = [
    ([], "", []),
    ([engine("a"), engine("b")], "", [(1, "a", False, None), (2, "b", False, None)]),
    ([engine("a", kind="one"), engine("b", kind="one")], "", [(1, "a b", False, None)]),
    (
        [engine("a", kind="group", group="g"), engine("b"), engine("c", kind="group", group="g")],
        "",
        [(1, "a c", False, None), (2, "b", False, None)],
    ),
    (
        [engine("a", kind="core", core=1), engine("b", kind="core", core=1)],
        "",
        [(1, "a", False, 1), (2, "b", False, 1)],
    ),
    ([engine("g"), engine("x", kind="group", group="g")], "", [(1, "g", False, None), (2, "x", False, None)]),
    (
        [engine("a", kind="one"), engine("log", kind="one"), engine("wall", kind="one")],
        "log wall",
        [(1, "a", False, None), (2, "log wall", True, None)],
    ),
    (
        [engine("log", kind="group", group="g"), engine("a", kind="group", group="g")],
        "log",
        [(1, "log", True, None), (2, "a", False, None)],
    ),
]


@pytest.mark.parametrize(("engines", "devices", "expected"), CASES)
def test_layouts(engines: list[EngineSpec], devices: str, expected: list[tuple[int, str, bool, int | None]]) -> None:
    """Engines share a process that should not, or are apart that should share one."""
    assert shape(*engines, devices=devices) == expected


def test_too_many_processes_are_refused() -> None:
    """A node of 64 processes would start and overflow the slot numbers."""
    with pytest.raises(NoSlot, match=r"64 processes wanted, 63"):
        lay_out([engine(f"e{n}") for n in range(64)], frozenset())
    assert len(lay_out([engine(f"e{n}") for n in range(63)], frozenset())) == 63


placements = st.one_of(
    st.just(Placement()),
    st.just(Placement("one")),
    st.builds(Placement, st.just("group"), st.sampled_from("gh")),
    st.builds(Placement, st.just("core"), core=st.integers(0, 3)),
)


@given(st.lists(st.tuples(placements, st.booleans()), max_size=40))
def test_every_engine_has_one_slot_and_devices_their_own(drawn: list[tuple[Placement, bool]]) -> None:
    """An engine is forgotten, doubled, or a device blocks an engine with rules."""
    engines = [EngineSpec(f"e{n}", "f:F", placement=placement) for n, (placement, _) in enumerate(drawn)]
    devices = frozenset(f"e{n}" for n, (_, is_device) in enumerate(drawn) if is_device)
    plans = lay_out(engines, devices)
    assert sorted(name for plan in plans for name in plan.engines) == sorted(e.name for e in engines)
    assert [plan.slot for plan in plans] == list(range(1, len(plans) + 1))
    assert all((name in devices) == plan.device for plan in plans for name in plan.engines)


@given(st.frozensets(st.integers(1, SLOT_LAST)))
def test_spawned_engines_get_the_first_free_slot(taken: frozenset[int]) -> None:
    """False if a spawned engine lands in a slot that is taken, or none is found although one is free."""
    found = free_slot(taken)
    free = [slot for slot in range(1, SLOT_LAST + 1) if slot not in taken]
    assert found == (free[0] if free else None)
