"""Reads a node file into a `NodeSpec`, or reports all of its mistakes.

The usual path is short: YAML, units, `msgspec.convert`, checks of meaning. If `msgspec.convert` refuses the file, a
slow path finds all mistakes of shape, and the checks run on the valid rest. So every mistake of a file is reported at
once, in the order of the file. Families are not imported here: `host.live.inspection.inspect` imports them in another
process and locates its findings with `Document.problem`.

An entry with `count: n` stands for engines NAME.1 to NAME.n, numbered as the model numbers children. A name in the file
cannot contain a dot, so the names never collide, and the count can grow without renaming an engine.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable
from typing import Any

import msgspec

from .checks import check_meaning, check_slots, resolved
from .finding import Finding, Path
from .problems import ConfigErrors, ConfigProblem
from .schema import EngineEntry, MailboxEntry, NodeEntry
from .spec import EngineSpec, MailboxSpec, NodeSpec, Placement
from .supervised import child_of, given, supervision_of
from .units import UnitError, parse_quantity, unit_suffix
from .yaml_text import Document, read_document, to_builtins

NOT_A_FILE = "not a regular file: commands find a node by the path of its file, and read the file again"

_FAMILY_KEYS = ("config", "state")
"""Fields below these keys belong to the family; their units are read with its types."""


class NodeFile(msgspec.Struct, frozen=True):
    """A node file as far as it could be read. With problems, `spec` is the valid rest, or None."""

    document: Document
    spec: NodeSpec | None
    problems: tuple[ConfigProblem, ...]


def load_node(path: str | os.PathLike[str]) -> NodeSpec:
    """The node that the file at `path` describes. Imports no family.

    Raises `ConfigErrors` with every mistake found, also when the file cannot be read.
    """
    file = read_node_file(path)
    if file.problems or file.spec is None:
        raise ConfigErrors(file.problems)
    return file.spec


def read_node_file(path: str | os.PathLike[str], *, cores: frozenset[int] | None = None) -> NodeFile:
    """The file with its places and problems. `cores`: cores for pinned engines; default: those of this process.

    Raises `ConfigErrors` when the file cannot be read at all.
    """
    name = os.fspath(path)
    try:
        mode = os.stat(name).st_mode
        if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
            raise ConfigErrors([ConfigProblem(name, 1, 1, NOT_A_FILE)])
        with open(name, "rb") as source:
            data = source.read()
    except OSError as error:
        raise ConfigErrors([ConfigProblem(name, 1, 1, f"cannot be read: {error.strerror}")]) from error
    cores = frozenset(os.sched_getaffinity(0)) if cores is None else cores
    return _read(read_document(data, name), os.path.realpath(name), cores)


def digest(spec: NodeSpec) -> str:
    """32 hex digits that identify everything that affects the running node."""
    decides = msgspec.structs.replace(spec, digest="", path="")
    canonical = msgspec.json.encode(msgspec.to_builtins(decides, str_keys=True, order="sorted"))
    return hashlib.blake2b(canonical, digest_size=16).hexdigest()


def _read(document: Document, path: str, cores: frozenset[int]) -> NodeFile:
    refused = list(document.refused)
    if document.root is None:
        return NodeFile(document, None, _in_order(refused, []))
    written = to_builtins(document.root)
    refused += map(document.problem, _read_units(written, ()))
    entry, findings = _convert(written)
    spec = None
    if entry is not None:
        findings += check_meaning(entry, written["engines"], os.path.dirname(path), cores)
        if not any(finding.path == ("engines",) for finding in findings):
            spec = _node(entry, path)
            findings += check_slots(spec)
    return NodeFile(document, spec, _in_order(refused, map(document.problem, findings)))


def _convert(written: Any) -> tuple[NodeEntry | None, list[Finding]]:
    """The node as written, as far as it is valid, and all mistakes of shape."""
    try:
        return msgspec.convert(written, NodeEntry), []
    except msgspec.ValidationError as error:
        from .explain import explain

        entry, findings = explain(written)
        if not findings:
            raise AssertionError(f"refused, and no mistake found: {error}") from error
        return entry, findings


def _read_units(value: Any, path: Path) -> list[Finding]:
    """Replace texts with units by numbers, in place; a text that is not a quantity is removed and reported."""
    if isinstance(value, list):
        return [finding for at, item in enumerate(value) for finding in _read_units(item, (*path, at))]
    if not isinstance(value, dict):
        return []
    findings = []
    for key, item in list(value.items()):
        below = (*path, key)
        if len(path) == 2 and path[0] == "engines" and key in _FAMILY_KEYS:
            continue
        if isinstance(item, str) and (suffix := unit_suffix(key)):
            try:
                value[key] = parse_quantity(item, suffix)
            except UnitError as error:
                del value[key]
                findings.append(Finding(below, str(error), error.suggestion))
        else:
            findings += _read_units(item, below)
    return findings


def _in_order(refused: list[ConfigProblem], found: Iterable[ConfigProblem]) -> tuple[ConfigProblem, ...]:
    """In the order of the file. Omits findings at places where the text itself was refused: they follow from that."""
    places = {(problem.line, problem.column) for problem in refused}
    new = [problem for problem in found if (problem.line, problem.column) not in places]
    return tuple(sorted(dict.fromkeys([*refused, *new]), key=lambda problem: (problem.line, problem.column)))


def _node(entry: NodeEntry, path: str) -> NodeSpec:
    folder = os.path.dirname(path)
    data = entry.data or os.path.join(".enginehost", entry.node)
    spec = NodeSpec(
        node=entry.node,
        path=path,
        digest="",
        engines=tuple(spec for name, engine in entry.engines.items() for spec in _engines(name, engine, entry)),
        placement=_placement(entry.placement.default),
        spawned=entry.placement.spawned,
        transport=entry.transport,
        supervision=supervision_of(entry.supervision, lambda name: _names(name, entry)),
        journal=entry.journal,
        reload=entry.reload,
        roots=tuple(os.path.realpath(resolved(folder, root)) for root in entry.roots),
        data=os.path.normpath(resolved(folder, data)),
    )
    return msgspec.structs.replace(spec, digest=digest(spec))


def _engines(name: str, engine: EngineEntry, node: NodeEntry) -> list[EngineSpec]:
    """The engines of one entry."""
    knows = tuple(dict.fromkeys(n for other in engine.acquaintances for n in _names(other, node)))
    first = EngineSpec(
        name=name,
        family=engine.family,
        params=engine.config,
        state=engine.state,
        acquaintances=knows,
        mailboxes={int(number): _mailbox(box) for number, box in engine.mailboxes.items()},
        placement=_placement(engine.placement or node.placement.default),
        child=child_of(engine),
        durability=engine.durability,
    )
    if not engine.count:
        return [first]
    return [
        msgspec.structs.replace(first, name=each, acquaintances=tuple(n for n in knows if n != each))
        for each in _names(name, node)
    ]


def _names(name: str, node: NodeEntry) -> list[str]:
    """The engines of a name: the name itself, or all engines of a counted entry."""
    count = node.engines[name].count if name in node.engines else None
    return [f"{name}.{n}" for n in range(1, count + 1)] if count else [name]


def _mailbox(entry: MailboxEntry) -> MailboxSpec:
    return MailboxSpec(entry.capacity, entry.policy, given(entry.stored_max))


def _placement(text: str) -> Placement:
    kind, _, name = text.partition(" ")
    match kind:
        case "group":
            return Placement("group", group=name)
        case "core":
            return Placement("core", core=int(name))
        case "one":
            return Placement("one")
        case _:
            return Placement()
