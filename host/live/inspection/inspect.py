"""Inspects the families of a node without importing them in this process.

The command line and the supervisor never import a family: its module may print, hang, start threads, or leave itself
behind where a reload should find new code. A throw-away child imports, reports and is killed (`child`); the supervisor
forks it through the zygote instead, where `inspect_child.main` reads the bytes that `frame` makes. A `Collector` reads
the answers of both.

Crash points: the child dies or hangs in an import: the family it had begun gets the blame; after a death a fresh child
looks at the others, after a time-out those behind it are reported as not looked at.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

import msgspec

from host.config.finding import Finding
from host.config.placement import NoSlot, lay_out
from host.config.spec import NodeSpec
from host.live.inspection.child import forked, pieces
from host.live.inspection.inspect_records import (
    LENGTH_BYTES,
    Begin,
    Done,
    EngineValues,
    FamilyReport,
    Inquiry,
    Record,
    SourceProblem,
    ValueFindings,
    take_records,
)

if TYPE_CHECKING:
    from host.config.load import NodeFile
    from host.config.problems import ConfigProblem

DEADLINE_NS: Final = 20_000_000_000
"""For one family; slow libraries take seconds, more on a busy machine, and a hanging module never returns."""

DIED: Final = "ended the process that imported it"


class Inspection(msgspec.Struct, frozen=True):
    """Reports by family reference; findings by path in the node file, about values, mailboxes and slots."""

    families: dict[str, FamilyReport]
    findings: tuple[Finding, ...] = ()

    def is_device(self, family: str) -> bool:
        """Whether a family is a device; one that could not be imported is not."""
        return family in self.families and self.families[family].device


def inspect_families(inquiry: Inquiry) -> Inspection:
    """A report for each family. Blocks until all were imported or one took too long; raises for nothing they do."""
    collector = Collector(inquiry)
    while not collector.done:
        _ask_child(collector)
    return collector.inspection


def inspect_node(spec: NodeSpec, *, deadline_ns: int = DEADLINE_NS) -> Inspection:
    """The families of a node, and what is wrong with what its engines are given. Blocks as `inspect_families`."""
    found = inspect_families(inquiry_of(spec, deadline_ns=deadline_ns))
    devices = frozenset(e.name for e in spec.engines if found.is_device(e.family))
    findings = (*found.findings, *_find_in_mailboxes(spec, found.families), *_find_in_slots(spec, devices))
    return Inspection(found.families, findings)


def validate_node(
    path: str | os.PathLike[str], *, deadline_ns: int = DEADLINE_NS
) -> tuple[NodeSpec, dict[str, FamilyReport]]:
    """The node of a file with everything checked, including its families and their arguments.

    Raises `ConfigErrors` with all errors of the file and of its families together.
    """
    from host.config.load import read_node_file
    from host.config.problems import ConfigErrors

    file = read_node_file(path)
    if file.spec is None:
        raise ConfigErrors(file.problems)
    inspection = inspect_node(file.spec, deadline_ns=deadline_ns)
    problems = [*file.problems, *_locate(file, inspection)]
    if problems:
        raise ConfigErrors(problems)
    return file.spec, inspection.families


def inquiry_of(spec: NodeSpec, *, deadline_ns: int = DEADLINE_NS) -> Inquiry:
    """The inquiry about a node: its families, and for each entry of its file the engines' arguments."""
    from host.config.names import UNREADABLE_FAMILY, entry_name

    entries = {entry_name(e.name): e for e in spec.engines if e.family != UNREADABLE_FAMILY}
    values = tuple(EngineValues(name, e.family, e.params, e.state) for name, e in entries.items())
    refs = tuple(dict.fromkeys(e.family for e in entries.values()))
    return Inquiry(refs, spec.roots, values, deadline_ns)


def frame(inquiry: Inquiry) -> bytes:
    """The bytes that `main` reads from its socket; on a packet socket, in pieces of `PIECE_BYTES_MAX`."""
    body = msgspec.msgpack.encode(inquiry)
    return len(body).to_bytes(LENGTH_BYTES, "little") + body


class Collector:
    """Reads the answers of one child after another. Pure: bytes in, state out; `inquiry` is for the next child."""

    def __init__(self, inquiry: Inquiry) -> None:
        self.inquiry = inquiry
        self._data = bytearray()
        self._begun = ""
        self._blamed: dict[str, FamilyReport] = {}
        self._decode = msgspec.msgpack.Decoder(Record).decode
        self.done = False
        self.stays = False
        self.sources: dict[str, bytes] = {}
        self.families: dict[str, FamilyReport] = {}
        self.findings: tuple[Finding, ...] = ()

    @property
    def inspection(self) -> Inspection:
        """What was found."""
        return Inspection(self.families, self.findings)

    def feed(self, data: bytes) -> bool:
        """Take bytes; True once everything has been reported."""
        self._data += data
        for record in take_records(self._data):
            self._take(self._decode(record))
        return self.done

    def end_late(self) -> None:
        """The time is up: blame the family that the child had begun, and report the rest as not looked at."""
        self._give_up(f"took longer than {self.inquiry.deadline_ns / 1e9:g} s to import")

    def end_early(self) -> None:
        """The child died: blame the family it had begun; a fresh child looks at the others, if there are any."""
        ref = self._begun
        if not ref or ref in self.families:
            self._give_up(DIED)
            return
        self._blamed[ref] = FamilyReport(ref, problems=(SourceProblem(DIED),))
        self._data.clear()
        self._begun = ""
        self.families = dict(self._blamed)
        families = tuple(other for other in self.inquiry.families if other != ref)
        engines = tuple(engine for engine in self.inquiry.engines if engine.family != ref)
        self.inquiry = msgspec.structs.replace(self.inquiry, families=families, engines=engines)
        self.done = not families

    def _give_up(self, why: str) -> None:
        for ref in self.inquiry.families:
            if ref not in self.families:
                text = why if ref == self._begun else f"not looked at, because `{self._begun}` {why}"
                self.families[ref] = FamilyReport(ref, problems=(SourceProblem(text),))
        self.done = True

    def _take(self, record: Any) -> None:
        match record:
            case Begin():
                self._begun = record.ref
            case FamilyReport():
                self.families[record.ref] = record
            case ValueFindings():
                self.findings = record.findings
            case Done():
                self.done, self.stays, self.sources = True, record.stays, record.sources


def _ask_child(collector: Collector) -> None:
    def look(fd: int) -> None:
        from host.live.inspection.inspect_child import answer  # brings the model, which the caller does not need

        answer(collector.inquiry, fd)

    with forked(look) as reading:
        try:
            while data := next(pieces(reading, time.monotonic_ns() + collector.inquiry.deadline_ns), b""):
                if collector.feed(data):
                    return
            collector.end_early()
        except TimeoutError:
            collector.end_late()


def _find_in_mailboxes(spec: NodeSpec, families: dict[str, FamilyReport]) -> Iterable[Finding]:
    """Mailboxes a family does not declare, and policies that drop mail although the family did not declare it lossy."""
    from host.config.names import entry_name

    for name, engine in {entry_name(e.name): e for e in spec.engines}.items():
        report = families.get(engine.family)
        boxes = {box["number"]: box for box in report.interface.get("boxes", ())} if report else {}
        for number, bounds in engine.mailboxes.items() if boxes else ():
            path = ("engines", name, "mailboxes", str(number))
            if number not in boxes:
                there = ", ".join(map(str, boxes))
                yield Finding(path, f"the family has no mailbox {number}", f"there are {there}", at_key=True)
            elif bounds.policy == "drop-oldest" and not boxes[number]["lossy"]:
                text = f"mailbox {number} is not declared lossy, so nothing may be dropped from it"
                yield Finding((*path, "policy"), text, "write `wait` or `reject`")


def _find_in_slots(spec: NodeSpec, devices: frozenset[str]) -> Iterable[Finding]:
    """Whether devices, which share no process with other engines, need more slots than the file's own check counted."""
    try:
        lay_out(spec.engines, frozenset())
    except NoSlot:
        return
    try:
        lay_out(spec.engines, devices)
    except NoSlot as error:
        yield Finding(("engines",), f"{error}; devices have processes of their own", at_key=True)


def _locate(file: NodeFile, inspection: Inspection) -> list[ConfigProblem]:
    """Findings and family problems with their places in the file; a family's at the first engine that names it."""
    from host.config.names import entry_name

    assert file.spec is not None
    found = list(inspection.findings)
    first = {e.family: entry_name(e.name) for e in reversed(file.spec.engines)}
    for ref, report in inspection.families.items():
        path = ("engines", first[ref], "family")
        suggestion = _missing_root(file.spec, ref)
        found += [Finding(path, f"`{ref}` cannot be used: {problem}", suggestion) for problem in report.problems]
    return [file.document.problem(finding) for finding in found]


def _missing_root(spec: NodeSpec, ref: str) -> str:
    """What to add if a family's module is in no root, but lies beside the node file."""
    from engines.model.store.load import HOSTS

    folder, first = os.path.dirname(spec.path), ref.partition(":")[0].partition(".")[0]

    def is_in(root: str) -> bool:
        return os.path.exists(os.path.join(root, first)) or os.path.exists(os.path.join(root, first + ".py"))

    if first in HOSTS or any(map(is_in, spec.roots)) or not is_in(folder):
        return ""
    return "add `.` to `roots`" if spec.roots else "add `roots: [.]`"
