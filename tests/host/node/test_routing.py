from __future__ import annotations

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from host.config.spec import EngineSpec
from host.node import routing
from host.node.routing import Directory, Missing, Resident


def resident(name: str, slot: int, parent: str | None = None) -> Resident:
    return Resident(EngineSpec(name, "f:F"), slot, parent)


def directory(*residents: tuple[str, int, str | None]) -> Directory:
    made = Directory()
    for one in residents:
        assert made.enter(resident(*one))
    return made


def names(residents: tuple[Resident, ...]) -> list[str]:
    return [one.name for one in residents]


def test_a_name_is_used_once() -> None:
    """A spawn that a restarted parent repeats makes a second engine, or revives a dead one."""
    made = directory(("a", 1, None))
    assert not made.enter(resident("a", 2))
    assert made.end("a") is not None
    assert not made.enter(resident("a", 2))
    assert made.find("a") == Missing("ended")
    assert made.find("b") == Missing("unknown")


def test_a_crash_ends_descendants_everywhere_and_raises_the_births_of_heads() -> None:
    """A restarted parent finds children of its former life, or a bystander is restarted."""
    made = directory(
        ("a", 1, None), ("b", 1, None), ("a/x", 1, "a"), ("a/y", 2, "a"), ("a/y/z", 3, "a/y"), ("c", 2, None)
    )
    found = made.succeed(1)
    assert [(r.name, r.birth) for r in found.reborn] == [("a", 2), ("b", 2)]
    assert sorted(names(found.ended)) == ["a/x", "a/y", "a/y/z"]
    assert made.find("a/y") == Missing("ended")
    assert names(tuple(made)) == ["a", "b", "c"]


def test_a_grandchild_in_the_slot_of_its_grandparent_is_no_head() -> None:
    """A family that zigzags between slots is half reborn, half ended."""
    made = directory(("a", 1, None), ("a/b", 2, "a"), ("a/b/c", 1, "a/b"))
    found = made.succeed(1)
    assert names(found.reborn) == ["a"]
    assert sorted(names(found.ended)) == ["a/b", "a/b/c"]


def test_children_of_an_ended_engine_go_with_its_nearest_living_ancestor() -> None:
    """The end of an engine in between cuts its children off from the life of those above."""
    made = directory(("a", 1, None), ("a/b", 2, "a"), ("a/b/c", 3, "a/b"))
    made.end("a/b")
    assert made.descendants(["a"]) == ("a/b/c",)
    assert names(made.succeed(1).ended) == ["a/b/c"]


def test_tombstones_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A node that spawns for weeks remembers every name it ever had."""
    monkeypatch.setattr(routing, "TOMBSTONES_MAX", 2)
    made = directory(("a", 1, None), ("b", 1, None), ("c", 1, None))
    for name in "abc":
        made.end(name)
    assert [made.find(name) for name in "abc"] == [Missing("unknown"), Missing("ended"), Missing("ended")]


class Families(RuleBasedStateMachine):
    """The directory beside an obviously right one: a dict of everything, searched each time."""

    def __init__(self) -> None:
        super().__init__()
        self.made = Directory()
        self.living: dict[str, tuple[int, str | None]] = {}
        self.adopted: dict[str, str | None] = {}
        self.count = 0

    @rule(slot=st.integers(1, 3), choice=st.integers(0, 100))
    def spawn(self, slot: int, choice: int) -> None:
        parents: list[str | None] = [None, *self.living]
        parent = parents[choice % len(parents)]
        self.count += 1
        name = f"e{self.count}"
        assert self.made.enter(resident(name, slot, parent))
        self.living[name] = (slot, parent)
        self.adopted[name] = parent

    @precondition(lambda self: self.living)
    @rule(choice=st.integers(0, 100))
    def end(self, choice: int) -> None:
        name = list(self.living)[choice % len(self.living)]
        assert self.made.end(name) is not None
        self._remove(name)

    @rule(slot=st.integers(1, 3))
    def crash(self, slot: int) -> None:
        there = [name for name, (home, _) in self.living.items() if home == slot]
        doomed = {name for name in self.living if any(above in there for above in self._above(name))}
        found = self.made.succeed(slot)
        assert set(names(found.ended)) == doomed
        assert names(found.reborn) == [name for name in there if name not in doomed]
        for name in doomed:
            self._remove(name)

    @invariant()
    def the_same_engines_live_in_the_same_slots(self) -> None:
        assert {one.name: one.slot for one in self.made} == {name: home for name, (home, _) in self.living.items()}

    def _above(self, name: str) -> list[str]:
        found = []
        above = self.adopted[name]
        while above is not None:
            found.append(above)
            above = self.adopted[above]
        return found

    def _remove(self, name: str) -> None:
        heir = self.adopted.pop(name)
        del self.living[name]
        for child, parent in self.adopted.items():
            if parent == name:
                self.adopted[child] = heir


TestFamilies = Families.TestCase
