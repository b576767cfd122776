"""Whether a new version may take over: its interfaces against those in force, and what its acquaintances read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from engines.model.interface import compatible
from host.live.supervisor.node import Node
from host.live.wire import Running
from host.node.routing import Missing


def check_interfaces(node: Node, candidates: Mapping[str, Running]) -> list[str]:
    """Why these engines, as a candidate would run them, cannot replace the running ones; empty when they can."""
    problems = []
    for name, candidate in candidates.items():
        old = node.running.get(name)
        if old is not None:
            problems += [f"{name}: {text}" for text in compatible(old.interface, candidate.interface)]
        problems += [f"{name}: {text}" for text in _unreadable(node, name, candidate.interface)]
    return problems


def _unreadable(node: Node, name: str, interface: Mapping[str, Any]) -> Iterator[str]:
    """What acquaintances from the node file would read wrongly of what `name` will send."""
    resident = node.directory.find(name)
    for other in () if isinstance(resident, Missing) else resident.spec.acquaintances:
        reader = node.running.get(other)
        for box in reader.interface["boxes"] if reader is not None else ():
            for tag in interface["emits"].keys() & box["accepts"].keys():
                yield from _mismatch(other, tag, interface["emits"][tag], box["accepts"][tag])


def _mismatch(reader: str, tag: str, sent: list[Any], read: list[Any]) -> Iterator[str]:
    """Fields go by place: common places must agree, places the reader has beyond them need defaults."""
    for place, (ours, theirs) in enumerate(zip(sent, read, strict=False)):
        if ours[:2] != theirs[:2]:
            yield f"{reader} reads field {place} of {tag} as {theirs[0]}: {theirs[1]}, not {ours[0]}: {ours[1]}"
    for field, kind, has_default in read[len(sent) :]:
        if not has_default:
            yield f"{reader} needs {tag}.{field} ({kind}), which is not sent"
