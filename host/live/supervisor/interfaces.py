"""Whether a new version may take over: compares its interfaces with those in force and with those of its acquaintances.

Engines of one family and version share one interface object: each pair is compared once, however many engines have it.
A problem that many engines share is reported once, with their number.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from engines.model.store.interface import Interface, compatible
from host.live.supervisor.node import Node
from host.node.routing import Resident

Compared = dict[tuple[int, int], list[str]]
"""Texts by the identities of two interfaces; the node keeps the interfaces alive meanwhile."""

Alike = tuple[int, int, tuple[str, ...]]
"""Engines equal in this have the same problems: both interfaces and the acquaintances."""


def check_interfaces(
    node: Node, candidates: Iterable[tuple[Resident, Interface]], instead: Mapping[str, Interface]
) -> list[str]:
    """Why engines with a candidate's interfaces cannot replace the running ones; empty if they can.

    `instead` are the interfaces, by name, of engines that are replaced at the same boundary.
    """
    read: Compared = {}
    known: dict[Alike, list[str]] = {}
    first: dict[str, str] = {}
    count: Counter[str] = Counter()
    for resident, interface in candidates:
        running = node.running.get(resident.name)
        old = interface if running is None else running.interface
        alike = (id(old), id(interface), resident.spec.acquaintances)
        found = known.get(alike)
        if found is None:
            found = known[alike] = [*compatible(old, interface), *_unreadable(node, resident, interface, instead, read)]
        for text in found:
            first.setdefault(text, resident.name)
            count[text] += 1
    return [f"{first[text]}{f' (and {n - 1} more)' if n > 1 else ''}: {text}" for text, n in count.items()]


def _unreadable(
    node: Node, resident: Resident, interface: Interface, instead: Mapping[str, Interface], known: Compared
) -> Iterator[str]:
    """What the acquaintances of `resident` would misread in its messages."""
    for other in resident.spec.acquaintances:
        running = node.running.get(other)
        if running is not None:
            reader = instead.get(other, running.interface)
            pair = (id(interface), id(reader))
            if pair not in known:
                known[pair] = list(_misread(interface, reader))
            yield from (f"{other} {text}" for text in known[pair])


def _misread(sender: Interface, reader: Interface) -> Iterator[str]:
    for box in reader["boxes"]:
        for tag in sender["emits"].keys() & box["accepts"].keys():
            yield from _mismatch(tag, sender["emits"][tag], box["accepts"][tag])


def _mismatch(tag: str, sent: list[Any], read: list[Any]) -> Iterator[str]:
    """Fields match by place: common places must agree, and further places of the reader need defaults."""
    for place, (ours, theirs) in enumerate(zip(sent, read, strict=False)):
        if ours[:2] != theirs[:2]:
            yield f"reads field {place} of {tag} as {theirs[0]}: {theirs[1]}, not {ours[0]}: {ours[1]}"
    for field, kind, has_default in read[len(sent) :]:
        if not has_default:
            yield f"needs {tag}.{field} ({kind}), which is not sent"
