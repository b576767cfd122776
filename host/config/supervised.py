"""Supervision in a node file: conversion to data, and checks of meaning."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Literal

import msgspec

from .finding import Finding
from .schema import EngineEntry, GroupEntry, NodeEntry, SupervisionEntry
from .spec import ChildSpec, GroupSpec, SupervisionSpec
from .suggest import did_you_mean


def child_of(engine: EngineEntry) -> ChildSpec:
    """The child spec of an engine's entry."""
    limits = engine.limits
    return ChildSpec(
        engine.restart, given(engine.shutdown_ns), given(limits.memory_bytes), given(limits.cpu_ns), engine.poison
    )


def supervision_of(entry: SupervisionEntry, names: Callable[[str], Iterable[str]]) -> SupervisionSpec:
    """Supervision of a node. `names` gives the engines of a name in the file."""
    other = {
        "intensity": _bound(entry.intensity),
        "budget": _bound(entry.budget),
        "groups": tuple(_group(name, group, entry, names) for name, group in entry.groups.items()),
    }
    return SupervisionSpec(**msgspec.structs.asdict(entry) | other)


def check_supervision(node: NodeEntry, known: dict[str, EngineEntry | None]) -> Iterator[Finding]:
    """Mistakes in a node's groups and deadlines. `known`: the engine keys of the file, None for a misshapen entry."""
    yield from _check_deadlines(node.supervision)
    group_of: dict[str, str] = {}
    for name, group in node.supervision.groups.items():
        for at, engine in enumerate(group.engines):
            path = ("supervision", "groups", name, "engines", at)
            if not engine:
                continue
            if engine not in known:
                yield Finding(path, f"no engine `{engine}` in this node", did_you_mean(engine, known))
            elif engine in group_of:
                yield Finding(path, f"`{engine}` is in group `{group_of[engine]}` already")
            group_of[engine] = name
    yield from _check_processes(node, group_of)


def _check_deadlines(entry: SupervisionEntry) -> Iterator[Finding]:
    if entry.hard_ns and entry.soft_ns > entry.hard_ns:
        path = ("supervision", "soft_ns" if entry.soft_ns != SupervisionEntry().soft_ns else "hard_ns")
        yield Finding(path, "the soft deadline is later than the hard one", "`soft_ns: 0` turns it off")
    if entry.backoff_ns > entry.backoff_max_ns:
        path = ("supervision", "backoff_ns" if entry.backoff_ns != SupervisionEntry().backoff_ns else "backoff_max_ns")
        yield Finding(path, "the first pause is longer than the longest", "`backoff_ns: 0` turns pauses off")


def _check_processes(node: NodeEntry, group_of: dict[str, str]) -> Iterator[Finding]:
    """Engines that share a process are one child: they belong to the same group, or to none."""
    first: dict[str, str] = {}
    for name, engine in node.engines.items():
        placement = engine.placement or node.placement.default
        if placement != "one" and not placement.startswith("group "):
            continue
        other = first.setdefault(placement, name)
        if group_of.get(other) != group_of.get(name):
            text = f"`{name}` shares a process with `{other}`, but not its supervision group"
            yield Finding(("engines", name), text, "a process belongs to one group", at_key=True)


def _group(name: str, group: GroupEntry, entry: SupervisionEntry, names: Callable[[str], Iterable[str]]) -> GroupSpec:
    engines = tuple(dict.fromkeys(each for written in group.engines for each in names(written)))
    intensity = entry.intensity if group.intensity is msgspec.UNSET else group.intensity
    return GroupSpec(name, group.strategy, engines, _bound(intensity), given(group.period_ns) or entry.period_ns)


def _bound(number: int | Literal["off"]) -> int | None:
    return None if number == "off" else number


def given(number: int | msgspec.UnsetType) -> int | None:
    """None for a number that the file leaves out."""
    return None if number is msgspec.UNSET else number
