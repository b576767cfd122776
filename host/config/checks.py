"""Checks the meaning of a node file: unknown names, missing cores and folders, exceeded bounds.

Each check takes the node as written and yields findings. The node has the right shape; misshapen parts were removed.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

from .finding import Finding, Path
from .placement import NoSlot, lay_out
from .schema import EngineEntry, NodeEntry
from .spec import NodeSpec
from .suggest import did_you_mean
from .supervised import check_supervision

ENGINES_MAX: Final = 200_000
ACQUAINTANCES_MAX: Final = 1_000_000
"""For all engines together; an entry with a count counts for each of its engines."""


def check_meaning(node: NodeEntry, names: Iterable[str], folder: str, cores: frozenset[int]) -> Iterator[Finding]:
    """Mistakes in a node of the right shape. `names`: all engine keys of the file, including misshapen entries."""
    known = {name: node.engines.get(name) for name in names}
    for name, engine in node.engines.items():
        yield from _check_acquaintances(name, engine, known)
        if engine.placement:
            yield from _check_core(("engines", name, "placement"), engine.placement, cores)
    yield from _check_core(("placement", "default"), node.placement.default, cores)
    yield from _check_roots(node.roots, folder)
    yield from _check_home(node.data)
    yield from _check_lane_bytes(node.transport.lane_bytes)
    yield from check_supervision(node, known)
    yield from _check_numbers(node)


def check_slots(spec: NodeSpec) -> Iterator[Finding]:
    """Checks for a slot for every process, as far as possible without importing families."""
    try:
        lay_out(spec.engines, frozenset())
    except NoSlot as error:
        yield Finding(("engines",), str(error), "`placement: group NAME`, or `{default: one}` for all", at_key=True)


def _check_acquaintances(name: str, engine: EngineEntry, known: dict[str, EngineEntry | None]) -> Iterator[Finding]:
    seen: set[str] = set()
    for at, other in enumerate(engine.acquaintances):
        path = ("engines", name, "acquaintances", at)
        if not other:
            continue
        if other in seen:
            yield Finding(path, f"`{other}` a second time")
        else:
            yield from _check_reference(path, other, known)
        seen.add(other)


def _check_reference(
    path: tuple[str | int, ...], other: str, known: dict[str, EngineEntry | None]
) -> Iterator[Finding]:
    """`other` is an engine, one engine or all engines of a counted entry, or a descendant of one engine."""
    root, slash, _ = other.partition("/")
    word, dot, number = root.partition("~")[0].partition(".")
    if word not in known:
        yield Finding(path, f"no engine `{word}` in this node", did_you_mean(word, known))
        return
    entry = known[word]
    if entry is None:
        return
    count = entry.count or 0
    if dot and not count:
        yield Finding(path, f"engine `{word}` has no count, so there is no `{root}`", f"did you mean `{word}`?")
    elif dot and int(number) > count:
        yield Finding(path, f"no engine `{root}`: `{word}` has count {count}", f"did you mean `{word}.{count}`?")
    elif slash and count and not dot:
        yield Finding(
            path, f"which of `{word}.1` to `{word}.{count}` is meant?", f"did you mean `{word}.1{other[len(word) :]}`?"
        )


def _check_core(path: Path, placement: str, cores: frozenset[int]) -> Iterator[Finding]:
    kind, _, core = placement.partition(" ")
    if kind == "core" and int(core) not in cores:
        there = ", ".join(map(str, sorted(cores)[:16]))
        yield Finding(path, f"core {core} is not usable by this process; usable: {there}")


def _check_roots(roots: tuple[str, ...], folder: str) -> Iterator[Finding]:
    for at, root in enumerate(roots):
        path = resolved(folder, root)
        if not os.path.isdir(path):
            what = "not a folder" if os.path.exists(path) else "no such folder"
            yield Finding(("roots", at), f"{what}: {os.path.normpath(path)}", "roots are relative to this file")


def _check_home(data: str | msgspec.UnsetType) -> Iterator[Finding]:
    if data and os.path.expanduser(data).startswith("~"):
        user = data.partition("/")[0]
        yield Finding(("data",), f"no user has the home folder {user}", f"a folder of that name is written `./{user}`")


def resolved(folder: str, path: str) -> str:
    """The path for `path` in a node file in `folder`; `~` is the home folder."""
    return os.path.join(folder, os.path.expanduser(path))


def _check_lane_bytes(size: int) -> Iterator[Finding]:
    if size & (size - 1):
        text = f"expected a power of two for `lane_bytes`, found {size}"
        yield Finding(("transport", "lane_bytes"), text, f"did you mean `{1 << size.bit_length()}`?")


def _check_numbers(node: NodeEntry) -> Iterator[Finding]:
    counts = {name: engine.count or 1 for name, engine in node.engines.items()}
    if (total := sum(counts.values())) > ENGINES_MAX:
        yield Finding(("engines",), f"{total} engines, at most {ENGINES_MAX} in a node", at_key=True)
    links = sum(
        counts[name] * sum(counts.get(other, 1) for other in engine.acquaintances)
        for name, engine in node.engines.items()
    )
    if links > ACQUAINTANCES_MAX:
        yield Finding(("engines",), f"{links} acquaintances in all, at most {ACQUAINTANCES_MAX}", at_key=True)
