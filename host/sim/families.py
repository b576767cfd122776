"""Families for a world: by reference, as a node file names them, or at hand; and a twin in place of each device."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engines.model import Declaration, Device, Family, LoadError, load_family

AtHand = Declaration[Any, Any, Any]


class SimError(ValueError):
    """A world that cannot be made, or a name or place in it that does not exist; says what to do instead."""


class Families:
    """Mutable, one a world. `twins` are families for devices that declare none, by the devices' names."""

    def __init__(self, roots: tuple[str, ...], twins: Mapping[str, Family[Any, Any, Any, Any]]) -> None:
        self.devices: set[str] = set()
        self._roots = roots
        self._twins = twins
        self._known: dict[str, AtHand] = {}

    def load(self, ref: str) -> AtHand:
        """The family to run for a reference. Raises `LoadError`, and `SimError` for a device without a twin."""
        found = self._known.get(ref)
        if found is None:
            found = self._known[ref] = self._simulated(ref, load_family(ref, self._roots))
        return found

    def ref_of(self, family: AtHand) -> str:
        """The reference of a family at hand; one that no module holds under a name gets a reference here."""
        if not family.ref:
            taken = [known for known in self._known if known.startswith(f"world:{family.name}")]
            family.loaded(f"world:{family.name}.{len(taken) + 1}", family.version, family.files)
        if family.ref not in self._known:
            self._known[family.ref] = self._simulated(family.ref, family)
            for child in getattr(family, "spawns", ()):
                if not isinstance(child, str):
                    self.ref_of(child)
        return family.ref

    def _simulated(self, ref: str, family: AtHand) -> AtHand:
        if not isinstance(family, Device):
            return family
        self.devices.add(ref)
        twin = family.twin or self._twins.get(family.name)
        if twin is None:
            raise SimError(
                f"{ref}: the device `{family.name}` has no deterministic twin; declare one with "
                f"`Device(…, twin=FAMILY)`, or give `twins={{'{family.name}': FAMILY}}`"
            )
        return twin


__all__ = ["Families", "LoadError", "SimError"]
