"""Which engine lives in which slot.

A slot is the numbered place one process occupies; 0 is the supervisor's, 1 to 63 are for engines. Engines that share
a slot share a process. Devices never share one with engines that have rules: a device needs an event loop, rules need
none, and a driver that blocks must not hold up a pure engine. So each key below exists twice, with and without devices.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Final

import msgspec

from .spec import EngineSpec

SLOT_LAST: Final = 63
"""The highest slot number; with slot 0 that makes `SLOTS_MAX` slots of the transport, which a test compares."""


class NoSlot(Exception):
    """The engines need more slots than there are."""


class SlotPlan(msgspec.Struct, frozen=True):
    """One process to start: its slot, its engines in node-file order, whether it is for devices, and its core."""

    slot: int
    engines: tuple[str, ...]
    device: bool = False
    core: int | None = None


def lay_out(engines: Iterable[EngineSpec], devices: frozenset[str]) -> tuple[SlotPlan, ...]:
    """The slots for `engines`, numbered by their first engine. `devices`: names of those whose family is a device.

    Raises `NoSlot`.
    """
    shares: dict[tuple[bool, str], list[EngineSpec]] = {}
    for engine in engines:
        is_device = engine.name in devices
        shares.setdefault((is_device, share_of(engine)), []).append(engine)
    if len(shares) > SLOT_LAST:
        raise NoSlot(f"{len(shares)} processes wanted, {SLOT_LAST} are possible: put engines together in groups")
    return tuple(
        SlotPlan(slot, tuple(e.name for e in members), is_device, members[0].placement.core)
        for slot, ((is_device, _), members) in enumerate(shares.items(), start=1)
    )


def free_slot(taken: Collection[int]) -> int | None:
    """The slot for a spawned engine with a process of its own; None when every slot is taken (its mail dies)."""
    return next((slot for slot in range(1, SLOT_LAST + 1) if slot not in taken), None)


def share_of(engine: EngineSpec) -> str:
    """The key that engines of one process share. A name cannot hold a blank, so the kinds never collide."""
    name, placement = engine.name, engine.placement
    match placement.kind:
        case "one":
            return "one "
        case "group":
            return f"group {placement.group}"
        case "process" | "core":
            return name
