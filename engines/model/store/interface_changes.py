"""How the interfaces of two versions differ: for people, before a reload. What forbids one is `compatible`."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import blake2b
from typing import Any, Final

from ..values import encode
from .interface import Interface

DIGITS: Final = 12

OUTSIDE: Final = ("boxes", "emits", "timers", "state_layout")
"""The parts that others, or a stored state, depend on."""


def interface_fingerprint(interface: Interface) -> str:
    """Equal for versions that accept, emit, keep and wait for the same."""
    parts = {name: interface.get(name) for name in OUTSIDE}
    return blake2b(encode(parts), digest_size=DIGITS // 2).hexdigest()


def interface_changes(old: Interface, new: Interface) -> list[str]:
    """What changed, in a few words each; empty for equal fingerprints."""
    found = [*_sets("accepts", _accepted(old), _accepted(new)), *_sets("emits", old["emits"], new["emits"])]
    timers = (dict.fromkeys(one.get("timers", ()), ()) for one in (old, new))
    found += _sets("timer", *timers)
    if old.get("state_layout") != new.get("state_layout"):
        found.append("the layout of the state differs")
    return found


def _accepted(interface: Interface) -> dict[str, Any]:
    """The layout of each accepted message, by its mailbox and tag."""
    boxes = interface["boxes"]
    return {
        tag if box["number"] == 0 else f"{tag} in mailbox {box['number']}": fields
        for box in boxes
        for tag, fields in box["accepts"].items()
    }


def _sets(word: str, old: dict[str, Any], new: dict[str, Any]) -> Iterator[str]:
    yield from (f"{word} +{name}" for name in new if name not in old)
    yield from (f"{word} -{name}" for name in old if name not in new)
    for name in old:
        fields = [field[0] for field in new.get(name, ())[len(old[name]) :]]
        if fields:
            yield f"{word} {name} + {', '.join(fields)}"
