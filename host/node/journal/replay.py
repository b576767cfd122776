"""From the batches of a log to the engines they make.

Pure: the families and the reader of frames are arguments. A batch is applied whole: after it no answer is left unused.
`Diverged` is raised by the transition that differs; nothing is corrected.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Set
from typing import Any, Final

import msgspec

from engines.model import AdoptError, Declaration, Family, LoadError, encode
from host.node.journal.checking import Checking, Diverged
from host.node.journal.checksum import CRC32, PURE, Checksum
from host.node.journal.digest import Digest
from host.node.journal.layout import Wrong
from host.node.journal.marks import next_epoch
from host.node.journal.old_rules import FORMAT_WITH_LAW, FormWatch
from host.node.journal.records import (
    Acked,
    AnswerRecord,
    Asked,
    ChildEndRecord,
    DueTurn,
    EndRecord,
    RecordKind,
    Resumed,
    StateDigest,
    StreamImage,
    decode_body,
    decode_run,
)
from host.node.journal.scan import Damaged, Found, Scan
from host.node.journal.stream import Stream
from host.node.mailbox import Mail
from host.node.snapshot import Families

NOTES_MAX: Final = 100
"""Remarks kept about mail that was not the next of its stream."""


class LogState(msgspec.Struct, frozen=True, array_like=True):
    """The content of a snapshot. Interfaces are kept once for each family and code digest; the images' own are empty.

    `turns` counts those of all engines, for a reader that looks at a snapshot from outside.
    """

    node: str
    arrivals: int
    clock_ns: int
    streams: list[StreamImage]
    ended: list[str]
    interfaces: dict[str, dict[str, Any]]
    turns: int = 0


def log_state(
    node: str, arrivals: int, clock_ns: int, images: Iterable[StreamImage], ended: Iterable[str], turns: int = 0
) -> LogState:
    """The state of a log from the images of its engines."""
    interfaces: dict[str, dict[str, Any]] = {}
    bare = []
    for image in images:
        interfaces[_interface_key(image)] = image.cell.interface
        bare.append(msgspec.structs.replace(image, cell=msgspec.structs.replace(image.cell, interface={})))
    return LogState(node, arrivals, clock_ns, bare, list(ended), interfaces, turns)


class Replay:
    """Mutable: the engines of one log, as far as it has been read.

    Args:
        load: the family of a reference in a version, or in the one that runs here.
        read_frame: the mail in a raw frame; raises `Wrong`.
        checksums: by kind; outputs have the kind of their segment.
        only: the engines of interest, None for all; records of others are passed over.
        until: of one engine, the turn after which to stop (`Enough`).
        families: the reference under which an engine goes on, None for its log's; called right before it is made.
        across: every turn is run by the version that made it, and `load` is called right before. A recovery has one
            version for all.
        verify: compare every digest of a state with the replay at its place.
        watch: look at the environment after every turn (`FormWatch`).

    `leaving` are engines that ended with outputs that are not acknowledged. `boot_id` is that of the last life that
    recorded itself; a life that was killed before has only a segment, and raised no epoch.
    """

    def __init__(
        self,
        node: str,
        load: Callable[[str, str], Declaration[Any, Any, Any]],
        read_frame: Callable[[memoryview], Mail],
        checksums: dict[int, Checksum] = PURE,
        only: Set[str] | None = None,
        until: int | None = None,
        families: Families = lambda name: None,
        *,
        across: bool = False,
        verify: bool = False,
        watch: bool = False,
    ) -> None:
        self.node = node
        self.streams: dict[str, Stream] = {}
        self.leaving: dict[str, Stream] = {}
        self.ended: dict[str, None] = {}
        self.clock_ns = 0
        self.was_closed = False
        self.boot_id: bytes | None = None
        self.notes: list[str] = []
        self.arrivals = 0
        self.names: dict[int, str] = {}
        self._load = load
        self._read_frame = read_frame
        self._checksums = checksums
        self._digest = Digest(checksums[CRC32])
        self._checking = Checking(self._digest)
        self._only = only
        self._until = until
        self._families = families
        self._across = across
        self._verify = verify
        self._watch = watch
        self._is_old = False
        self.unread: dict[str, str] = {}
        self._unmade: dict[str, Exception] = {}
        self._answered: list[Stream] = []
        self._last: Stream | None = None

    @property
    def turns(self) -> int:
        """Transitions of all engines."""
        return sum(stream.turns for stream in self.streams.values())

    def restore(self, state: LogState, *, may_be_replaced: bool = False) -> None:
        """Begin with a snapshot. Raises as `Stream`, and what loading a family raises.

        `may_be_replaced`: an image in the log may replace one of the snapshot before anything is done with that, as
        behind a reload to another family, whose old one may be gone since. Then an image that is no engine with what
        runs here counts only if it is used, or is left in the end (`refuse_unmade`).
        """
        self.arrivals = state.arrivals
        self.clock_ns = state.clock_ns
        self.ended.update(dict.fromkeys(state.ended))
        for image in state.streams:
            try:
                self._be(image, state.interfaces.get(_interface_key(image)) or state.interfaces.get(image.code, {}))
            except (LoadError, AdoptError, ValueError) as error:
                if not may_be_replaced:
                    raise
                self._unmade[image.cell.name] = error

    def refuse_unmade(self) -> None:
        """Raise what kept an engine from being made of its image in the snapshot, if nothing has replaced that."""
        for error in self._unmade.values():
            raise error

    def apply(self, found: Found) -> None:
        """Apply a batch. Raises `Damaged` for records that make no sense, `Diverged`, `Enough`."""
        self.enter(found)
        try:
            for kind, number, body in found.records:
                self.record(kind, number, body)
            self.leave()
        except Wrong as wrong:
            raise Damaged(found.segment, found.offset, str(wrong)) from None

    def enter(self, found: Found) -> None:
        """Begin a batch, for a caller that applies its records one by one: `record` for each, then `leave`."""
        if found.begins:
            self.names.clear()
            self._digest.use(self._checksums[found.kind])
            self._use_rules(old=found.version < FORMAT_WITH_LAW)
        self.was_closed = False

    def leave(self) -> None:
        """End a batch. Raises `Wrong` if an answer in it was not used."""
        while self._answered:
            stream = self._answered.pop()
            if stream.answers:
                raise Wrong(f"{stream.name} was given an answer that no turn used")

    def diverged(self) -> dict[str, Diverged]:
        """The engines whose state differs from the last digest in their log."""
        found: dict[str, Diverged] = {}
        for name, stream in self.streams.items():
            try:
                stream.check_state()
            except Diverged as error:
                found[name] = error
        return found

    def next_epochs(self, *, same_boot: bool, is_lost: bool) -> dict[str, int]:
        """Give every engine its epoch of the next life, as `marks.next_epoch` has it; returns those that rise."""
        raised: dict[str, int] = {}
        was_closed = self.was_closed
        for name, stream in self.streams.items():
            mode, before = stream.kept.mode, stream.kept.epoch
            epoch = next_epoch(mode, before, same_boot=same_boot, was_closed=was_closed, is_lost=is_lost)
            if epoch != before:
                raised[name] = stream.kept.epoch = epoch
        return raised

    def record(self, kind: int, number: int, body: memoryview) -> None:
        """Apply one record of the batch entered. Raises as `apply`, with `Wrong` for `Damaged`."""
        if kind == RecordKind.NAME:
            self.names[number] = _text(body)
            return
        if kind == RecordKind.CLOSED:
            self.was_closed = True
            return
        if kind == RecordKind.LIFE:
            self._live(decode_body(kind, body))
            return
        name = self.names.get(number)
        if name is None:
            raise Wrong(f"a record of kind {kind} for name {number}, which this segment does not have")
        if self._only is not None and name not in self._only:
            return
        if kind == RecordKind.IMAGE:
            image = decode_body(kind, body)
            assert isinstance(image, StreamImage)
            self.ended.pop(name, None)
            self._unmade.pop(name, None)
            self._be(image, image.cell.interface)
            return
        if name in self._unmade:
            raise self._unmade[name]
        stream = self.streams.get(name) or self.leaving.get(name)
        if stream is None and name in self.unread:
            return
        if stream is None:
            raise Wrong(f"a record of kind {kind} for {name}, which was not born")
        self._of_stream(stream, kind, body)

    def _of_stream(self, stream: Stream, kind: int, body: memoryview) -> None:
        if kind == RecordKind.TURNS:
            run, turns = decode_run(body, self.names)
            if self._across:
                self._run_by(stream, run.code)
            stream.run(run, turns)
            self._saw(stream)
            return
        if kind == RecordKind.FRAME:
            self._mail(stream, self._read_frame(body))
            return
        match decode_body(kind, body):
            case DueTurn() as turn:
                if self._across:
                    self._run_by(stream, turn.code)
                stream.due(turn)
            case Asked() as asked:
                stream.asked(asked)
            case AnswerRecord(_, _, answer):
                self._answered.append(stream)
                stream.answers.append(answer)
            case Resumed() as resumed:
                if self._across:
                    self._run_by(stream, resumed.code)
                stream.resumed(resumed)
            case Acked(target, mailbox, next_n):
                stream.kept.drop((target, mailbox), next_n - 1)
            case ChildEndRecord(name):
                stream.kept.children.pop(name, None)
            case EndRecord():
                stream.ended()
            case StateDigest() as digest:
                stream.witnessed(digest)
                if self._verify:
                    stream.check_state()
            case other:
                raise Wrong(f"{type(other).__name__} for {stream.name}")
        self._saw(stream)

    def _run_by(self, stream: Stream, version: str) -> None:
        """The code that made the next turns: another version than before, with no image between, had followed the log.

        Raises as `Stream`.
        """
        is_enough = stream.turns == self._until and stream.cell.suspension is None
        if not is_enough and (family := self._load(stream.family.ref, version)) is not stream.family:
            stream.go_over_to(family)
            stream.use_rules(old=self._is_old)

    def _family(self, image: StreamImage) -> Declaration[Any, Any, Any]:
        return self._load(self._families(image.cell.name) or image.cell.family, image.code)

    def _saw(self, stream: Stream) -> None:
        if stream.clock_ns > self.clock_ns:
            self.clock_ns = stream.clock_ns
        if stream.cell.is_ended:
            stream.ended()
            self.ended[stream.name] = None
            self.streams.pop(stream.name, None)
            if stream.kept.unacked:
                self.leaving[stream.name] = stream
            else:
                self.leaving.pop(stream.name, None)
            self._last = stream

    def of(self, name: str) -> Stream | None:
        """The stream of an engine, even of one that has just ended."""
        found = self.streams.get(name)
        return self._last if found is None and self._last is not None and self._last.name == name else found

    def _mail(self, stream: Stream, mail: Mail) -> None:
        self.arrivals += 1
        word = stream.mail(self.arrivals, mail.sender, mail.mailbox, mail.epoch, mail.first_n, mail.payloads)
        if word and len(self.notes) < NOTES_MAX:
            self.notes.append(f"{stream.name}: {word} from {mail.sender} at message {mail.first_n}")

    def _be(self, image: StreamImage, interface: dict[str, Any]) -> None:
        name = image.cell.name
        if self._only is not None and name not in self._only:
            return
        self.leaving.pop(name, None)
        before = self.streams.get(name)
        try:
            stream = Stream(self.node, image, interface, self._family(image), self._checking, self._until)
        except (AdoptError, msgspec.ValidationError, ValueError) as error:
            is_of_snapshot = before is None and image.why == "snapshot"
            is_unlike = isinstance(error, AdoptError) and not self._is_like(image, interface)
            if not self._is_old or is_of_snapshot or is_unlike:
                raise
            self.unread[name] = str(error)
            return
        self.unread.pop(name, None)
        if self._is_old:
            stream.use_rules(old=True)
        if self._watch:
            stream.watch = FormWatch(stream.family, stream.env, stream.turns)
        if before is not None:
            stream.from_turn = before.from_turn
        self.streams[name] = stream
        self._saw(stream)

    def _is_like(self, image: StreamImage, there: dict[str, Any]) -> bool:
        """Whether the family of an image looks as it did: if so, it is the state that cannot be read."""
        family = self._family(image)
        if not isinstance(family, Family):
            return False
        here = family.interface()
        return all(encode(there.get(part)) == encode(here[part]) for part in ("state_layout", "boxes"))

    def _use_rules(self, *, old: bool) -> None:
        if old != self._is_old:
            self._is_old = old
            for stream in (*self.streams.values(), *self.leaving.values()):
                stream.use_rules(old=old)

    def _live(self, life: Any) -> None:
        self.clock_ns = max(self.clock_ns, life.now_ns)
        self.boot_id = life.boot_id
        for name, epoch in life.epochs.items():
            if name in self.streams:
                self.streams[name].kept.epoch = epoch


def lived_in(replay: Replay, scan: Scan) -> bytes | None:
    """The boot of the last life in a log; None for a new log. With a snapshot its record may lie before what was read:
    then the segment that begins there is of that life."""
    if replay.boot_id is not None:
        return replay.boot_id
    return None if scan.first is None else scan.first.boot_id


def _interface_key(image: StreamImage) -> str:
    """The key of an interface: families of a module share their code digest. Old snapshots had the digest alone."""
    return f"{image.code} {image.cell.family}"


def _text(body: memoryview) -> str:
    try:
        return str(body, "utf-8")
    except UnicodeDecodeError:
        raise Wrong("a name is not UTF-8") from None
