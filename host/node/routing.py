"""Names and slots: where each engine lives, its descent, and which names have ended.

A full name is `parent/word`. It carries the birth of each ancestor that was restarted from its initial state: `server`
in its second birth has children `server~2/worker.1`, and `server` itself always reaches the living birth. A name that
ended leaves a tombstone: late mail for it is a dead letter `ended`, not `unknown`, and a spawn repeated by a restarted
parent cannot revive it. The directory is the supervisor's; workers keep copies of the routes they asked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, Literal

import msgspec

from host.config.spec import EngineSpec

DEGRADED: Final = "degraded"
"""Given with a slot in a route: the engine died too often, and for now only its lanes take mail."""

TOMBSTONES_MAX: Final = 100_000
"""Names remembered after their end; beyond it the oldest becomes `unknown`."""


class Birth(msgspec.Struct, frozen=True, array_like=True):
    """An engine to start: its spec, its parent, and the birth number in its descendants' names (1 is not written).

    `parked`: it takes no trigger until it is unparked.
    """

    spec: EngineSpec
    parent: str | None = None
    birth: int = 1
    parked: bool = False


class Resident(msgspec.Struct, frozen=True):
    """An engine that has a slot. `birth` counts, from 1, how often it began from its initial state."""

    spec: EngineSpec
    slot: int
    parent: str | None = None
    birth: int = 1

    @property
    def name(self) -> str:
        """The full name."""
        return self.spec.name


class Missing(msgspec.Struct, frozen=True):
    """Why a name has no slot."""

    reason: Literal["unknown", "ended"]


class Succession(msgspec.Struct, frozen=True):
    """What a process's end means for engines: `reborn` begin again in its slot, `ended` end, wherever they live."""

    reborn: tuple[Resident, ...]
    ended: tuple[Resident, ...]


class Directory:
    """All engines of a node by name. Mutable, owned by one thread; every method leaves it consistent.

    Descent is kept among the living only. An engine that ends leaves its children to its nearest living ancestor, so
    the memory for a chain of successors does not grow with its length.
    """

    def __init__(self) -> None:
        self._residents: dict[str, Resident] = {}
        self._in_slot: dict[int, dict[str, Resident]] = {}
        self._above: dict[str, str] = {}
        self._below: dict[str, dict[str, None]] = {}
        self._tombstones: dict[str, None] = {}

    def __iter__(self) -> Iterator[Resident]:
        """Residents in the order in which they came."""
        return iter(tuple(self._residents.values()))

    def __len__(self) -> int:
        return len(self._residents)

    def enter(self, resident: Resident) -> bool:
        """Give a new engine its place. False: the name is in use or was, nothing changed."""
        name = resident.name
        if name in self._residents or name in self._tombstones:
            return False
        self._put(resident)
        if resident.parent is not None and resident.parent in self._residents:
            self._put_below(resident.parent, name)
        return True

    def find(self, name: str) -> Resident | Missing:
        """The engine's resident, or why it has no slot."""
        resident = self._residents.get(name)
        if resident is not None:
            return resident
        return Missing("ended" if name in self._tombstones else "unknown")

    def in_slot(self, slot: int) -> tuple[Resident, ...]:
        """The engines of a slot, in the order in which they came."""
        return tuple(self._in_slot.get(slot, {}).values())

    def end(self, name: str) -> Resident | None:
        """Lay a tombstone for `name`; its descendants live on. None: it was not there."""
        resident = self._residents.pop(name, None)
        if resident is None:
            return None
        there = self._in_slot[resident.slot]
        del there[name]
        if not there:
            del self._in_slot[resident.slot]
        above = self._above.pop(name, None)
        if above is not None:
            del self._below[above][name]
        for child in self._below.pop(name, {}):
            del self._above[child]
            if above is not None:
                self._put_below(above, child)
        self._bury(name)
        return resident

    def descendants(self, names: Iterable[str]) -> tuple[str, ...]:
        """The living engines that `names` spawned, directly or not; a parent comes before its children."""
        found: dict[str, None] = {}
        ahead = [child for name in names for child in self._below.get(name, ())]
        while ahead:
            name = ahead.pop()
            if name not in found:
                found[name] = None
                ahead.extend(self._below.get(name, ()))
        return tuple(found)

    def succeed(self, slot: int) -> Succession:
        """The process of `slot` is dead: decide for each engine whose state died with it, and carry it out.

        An engine of the slot without an ancestor there is born again, with its birth raised; everything that descends
        from one that is born again ends, in whichever slot it lives. Engines with a journal go on as they were.
        """
        there = [resident.name for resident in self.in_slot(slot) if resident.spec.durability == "volatile"]
        doomed = self.descendants(there)
        ended = tuple(gone for name in doomed if (gone := self.end(name)) is not None)
        return Succession(tuple(self._raise_birth(name) for name in there if name in self._residents), ended)

    def change_family(self, name: str, family: str) -> None:
        """Make `family` the one that `name` is born with from now on. Does nothing for an engine that ended."""
        resident = self._residents.get(name)
        if resident is not None:
            spec = msgspec.structs.replace(resident.spec, family=family)
            self._put(msgspec.structs.replace(resident, spec=spec))

    def follow_family(self, name: str, family: str) -> None:
        """`name` runs with `family`. A log decides over its engines' families, whatever a file or a reload says."""
        resident = self._residents.get(name)
        if resident is not None and resident.spec.durability != "volatile" and resident.spec.family != family:
            self.change_family(name, family)

    def _raise_birth(self, name: str) -> Resident:
        resident = self._residents[name]
        raised = msgspec.structs.replace(resident, birth=resident.birth + 1)
        self._put(raised)
        return raised

    def _put(self, resident: Resident) -> None:
        self._residents[resident.spec.name] = resident
        self._in_slot.setdefault(resident.slot, {})[resident.spec.name] = resident

    def _put_below(self, above: str, name: str) -> None:
        self._above[name] = above
        self._below.setdefault(above, {})[name] = None

    def _bury(self, name: str) -> None:
        self._tombstones[name] = None
        if len(self._tombstones) > TOMBSTONES_MAX:
            del self._tombstones[next(iter(self._tombstones))]
