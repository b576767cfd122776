"""What the families of a node are, found out without importing one here.

The command line and the supervisor never import a family: its module may print, hang, start threads, or leave itself
behind where a reload should find new code. A child is forked, imports, reports and is killed; it owns nothing but the
write end of a pipe. It has a session of its own, so that whatever a module started dies with it.

The caller is single-threaded, or forks through the zygote instead: there `inspect_child.main` runs in a child, `frame`
makes the bytes of an inquiry, and a `Collector` reads the answers. Crash points: the child dies or hangs in an import:
the family it had begun gets the blame; after a death a fresh child looks at the others, after a time-out those behind
it are reported as not looked at. The parent dies: the child's own alarm ends it, soon after the deadline.
"""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final, Never

import msgspec

from host.config.finding import Finding
from host.config.placement import NoSlot, lay_out
from host.config.spec import NodeSpec
from host.live.clock import left_ms
from host.live.inspection.inspect_records import (
    LENGTH_BYTES,
    PIECE_BYTES_MAX,
    Begin,
    Done,
    EngineValues,
    FamilyReport,
    Inquiry,
    Record,
    SourceProblem,
    ValueFindings,
)

if TYPE_CHECKING:
    from host.config.load import NodeFile
    from host.config.problems import ConfigProblem

__all__ = [
    "Collector", "FamilyReport", "Inquiry", "Inspection", "SourceProblem", "frame", "inquiry_of", "inspect_families",
    "inspect_node", "validate_node",
]  # fmt: skip

DEADLINE_NS: Final = 20_000_000_000
"""For all imports of a node together; slow libraries take seconds, a module that hangs takes for ever."""

DIED: Final = "ended the process that imported it"

ALARM_AFTER_NS: Final = 1_000_000_000
"""How much later than the parent's deadline the child ends itself."""


class Inspection(msgspec.Struct, frozen=True):
    """Reports by family reference; findings by path in the node file, about values, mailboxes and slots."""

    families: dict[str, FamilyReport]
    findings: tuple[Finding, ...] = ()


def inspect_families(
    refs: Iterable[str], roots: tuple[str, ...] = (), *, deadline_ns: int = DEADLINE_NS
) -> dict[str, FamilyReport]:
    """A report for each family. Blocks until all were imported, at most `deadline_ns`; raises for nothing they do."""
    return _ask(Inquiry(tuple(dict.fromkeys(refs)), roots, deadline_ns=deadline_ns + ALARM_AFTER_NS), deadline_ns)[0]


def inspect_node(spec: NodeSpec, *, deadline_ns: int = DEADLINE_NS) -> Inspection:
    """The families of a node, and what is wrong with what its engines are given. Blocks as `inspect_families`."""
    families, findings = _ask(inquiry_of(spec, deadline_ns=deadline_ns), deadline_ns)
    devices = frozenset(e.name for e in spec.engines if e.family in families and families[e.family].device)
    return Inspection(families, (*findings, *_find_in_mailboxes(spec, families), *_find_in_slots(spec, devices)))


def validate_node(
    path: str | os.PathLike[str], *, deadline_ns: int = DEADLINE_NS
) -> tuple[NodeSpec, dict[str, FamilyReport]]:
    """The node of a file with everything checked, its families and what it gives them included.

    Raises `ConfigErrors` with all mistakes of the file, also of its families when the file itself has mistakes.
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
    """The inquiry about a node: its families, and for each entry of its file what the engines are given."""
    from host.config.names import UNREADABLE_FAMILY, entry_name

    entries = {entry_name(e.name): e for e in spec.engines if e.family != UNREADABLE_FAMILY}
    values = tuple(EngineValues(name, e.family, e.params, e.state) for name, e in entries.items())
    refs = tuple(dict.fromkeys(e.family for e in entries.values()))
    return Inquiry(refs, spec.roots, values, deadline_ns + ALARM_AFTER_NS)


def frame(inquiry: Inquiry) -> bytes:
    """The bytes that `main` reads from its socket; on a packet socket, in pieces of `PIECE_BYTES_MAX`."""
    body = msgspec.msgpack.encode(inquiry)
    return len(body).to_bytes(LENGTH_BYTES, "little") + body


class Collector:
    """Reads a child's answers as they come. Pure: bytes in, state out."""

    def __init__(self, inquiry: Inquiry) -> None:
        self._inquiry = inquiry
        self._data = bytearray()
        self._begun = ""
        self._decode = msgspec.msgpack.Decoder(Record).decode
        self.done = False
        self.stays = False
        self.sources: dict[str, bytes] = {}
        self.families: dict[str, FamilyReport] = {}
        self.findings: tuple[Finding, ...] = ()

    def feed(self, data: bytes) -> bool:
        """Take bytes; True once everything has been reported."""
        self._data += data
        while not self.done and len(self._data) >= LENGTH_BYTES:
            end = LENGTH_BYTES + int.from_bytes(self._data[:LENGTH_BYTES], "little")
            if len(self._data) < end:
                break
            self._take(self._decode(bytes(self._data[LENGTH_BYTES:end])))
            del self._data[:end]
        return self.done

    def give_up(self, why: str) -> None:
        """The child is dead or out of time: blame the family it had begun, and say of the rest that nobody looked."""
        for ref in self._inquiry.families:
            if ref not in self.families:
                text = why if ref == self._begun else f"not looked at, because `{self._begun}` {why}"
                self.families[ref] = FamilyReport(ref, problems=(SourceProblem(text),))
        self.done = True

    def without_begun(self) -> Inquiry | None:
        """The child died: blame the family it had begun. What a fresh one is to look at, None when nothing is left."""
        if not self._begun or self._begun in self.families:
            return None
        asked = self._inquiry
        self.families = {self._begun: FamilyReport(self._begun, problems=(SourceProblem(DIED),))}
        families = tuple(ref for ref in asked.families if ref != self._begun)
        engines = tuple(engine for engine in asked.engines if engine.family != self._begun)
        return Inquiry(families, asked.roots, engines, asked.deadline_ns) if families else None

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


def _ask(inquiry: Inquiry, deadline_ns: int) -> tuple[dict[str, FamilyReport], tuple[Finding, ...]]:
    """Ask children, one after the other, until one lives to the end of what is left."""
    end_ns = time.monotonic_ns() + deadline_ns
    blamed: dict[str, FamilyReport] = {}
    while True:
        collector = Collector(inquiry)
        died = _ask_child(collector, inquiry, end_ns, deadline_ns)
        left = collector.without_begun() if died else None
        if left is None:
            if died:
                collector.give_up(DIED)
            return blamed | collector.families, collector.findings
        blamed |= collector.families
        inquiry = left


def _ask_child(collector: Collector, inquiry: Inquiry, end_ns: int, deadline_ns: int) -> bool:
    """Fork, collect, kill. Whether the child died before it had reported everything."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        _live_as_child(inquiry, writing)
    os.close(writing)
    try:
        return not _collect(collector, reading, end_ns, deadline_ns)
    finally:
        os.close(reading)
        _end(pid)


def _live_as_child(inquiry: Inquiry, writing: int) -> Never:
    """From the fork to the exit; nothing returns into the parent's stack, and no exit handler of its runs."""
    try:
        os.setsid()
        os.dup2(writing, 3)
        os.closerange(4, os.sysconf("SC_OPEN_MAX"))
        from host.live.inspection.inspect_child import answer

        answer(inquiry, 3)
    finally:
        os._exit(0)


def _collect(collector: Collector, reading: int, end_ns: int, deadline_ns: int) -> bool:
    """Read until everything is reported or the time is up; False when the child died before."""
    ready = select.poll()
    ready.register(reading, select.POLLIN)
    while not collector.done:
        is_ready = ready.poll(left_ms(end_ns))
        if time.monotonic_ns() >= end_ns:
            collector.give_up(f"took longer than {deadline_ns / 1e9:g} s to import")
        elif not is_ready:
            continue
        elif data := os.read(reading, 2 * PIECE_BYTES_MAX):
            collector.feed(data)
        else:
            return False
    return True


def _end(pid: int) -> None:
    """Kill the child and all it started, and take its exit."""
    for kill in (os.killpg, os.kill):
        try:
            kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
        break
    os.waitpid(pid, 0)


def _find_in_mailboxes(spec: NodeSpec, families: dict[str, FamilyReport]) -> Iterable[Finding]:
    """Mailboxes a family does not declare, and mail that may be dropped though the family did not say so."""
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
    found = [file.problem(f.path, f.text, f.suggestion, at_key=f.at_key) for f in inspection.findings]
    first = {e.family: entry_name(e.name) for e in reversed(file.spec.engines)}
    for ref, report in inspection.families.items():
        path = ("engines", first[ref], "family")
        suggestion = _missing_root(file.spec, ref)
        found += [file.problem(path, f"`{ref}` cannot be used: {problem}", suggestion) for problem in report.problems]
    return found


def _missing_root(spec: NodeSpec, ref: str) -> str:
    """What to add where a family's module is in no root, but lies beside the node file."""
    from engines.model.store.load import HOSTS

    folder, first = os.path.dirname(spec.path), ref.partition(":")[0].partition(".")[0]

    def is_in(root: str) -> bool:
        return os.path.exists(os.path.join(root, first)) or os.path.exists(os.path.join(root, first + ".py"))

    if first in HOSTS or any(map(is_in, spec.roots)) or not is_in(folder):
        return ""
    return "add `.` to `roots`" if spec.roots else "add `roots: [.]`"
