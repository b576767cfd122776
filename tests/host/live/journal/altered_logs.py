"""A log written again with something altered in it, and with valid checksums: only its meaning can tell."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass

import msgspec

from host.live.journal.checksums import checksums
from host.node.journal import layout, records
from host.node.journal.records import TURN, TURNS_HEAD, RecordKind
from host.node.journal.scan import Scan, SegmentData

Turn = tuple[int, int, int, int]


@dataclass(eq=False)
class Record:
    """A record of the engine named; for TURNS the turns apart from their head."""

    kind: int
    number: int
    body: bytes
    engine: str = ""

    @property
    def turns(self) -> list[Turn]:
        """The turns of a TURNS record."""
        return list(TURN.iter_unpack(self.body[TURNS_HEAD.size :]))

    @turns.setter
    def turns(self, turns: list[Turn]) -> None:
        head = (*TURNS_HEAD.unpack_from(self.body)[:5], len(turns))
        self.body = TURNS_HEAD.pack(*head) + b"".join(TURN.pack(*turn) for turn in turns)

    @property
    def first_n(self) -> int:
        """The number of the first message of a TURNS record."""
        return int(TURNS_HEAD.unpack_from(self.body)[3])

    def decoded(self) -> records.Body:
        """A body that has one of the kinds in `records.KINDS`."""
        return records.decode_body(self.kind, memoryview(self.body))

    def encode(self, body: records.Body) -> None:
        """Replace that body."""
        self.body = records.encode_body(body)


class AlteredLog:
    """The only segment of a log. `batches` may be changed; `write` then writes all of it again."""

    def __init__(self, path: str) -> None:
        self.path = path
        with open(path, "rb") as file:
            data = file.read()
        sums = checksums()
        self.head = layout.decode_segment(memoryview(data), sums)
        self.batches: list[list[Record]] = []
        names: dict[int, str] = {}
        for found in Scan([SegmentData(os.path.basename(path), 1, memoryview(data))], sums, None).batches():
            batch = []
            for kind, number, body in found.records:
                if kind == RecordKind.NAME:
                    names[number] = str(body, "utf-8")
                batch.append(Record(kind, number, bytes(body), names.get(number, "")))
            self.batches.append(batch)

    def of(self, engine: str, *kinds: RecordKind) -> list[Record]:
        """The records of an engine, of these kinds, in order."""
        return [one for batch in self.batches for one in batch if one.engine == engine and one.kind in kinds]

    def after(self, record: Record) -> Iterator[Record]:
        """The records behind one."""
        flat = [one for batch in self.batches for one in batch]
        at = next(at for at, one in enumerate(flat) if one is record)
        return iter(flat[at + 1 :])

    def turns_before(self, record: Record) -> int:
        """How many turns its engine made before a record."""
        turns = 0
        for one in (one for batch in self.batches for one in batch):
            if one is record:
                return turns
            if one.engine == record.engine:
                turns += len(one.turns) if one.kind == RecordKind.TURNS else one.kind == RecordKind.DUE
        raise AssertionError("the record is not in this log")

    def write(self) -> dict[int, tuple[int, int]]:
        """Write the log; the offset of each record, and its number in its batch, by `id`."""
        checksum = checksums()[self.head.kind]
        data = layout.encode_segment(msgspec.structs.replace(self.head, synced=0), checksum)
        chain = self.head.chain
        places = {}
        for batch in self.batches:
            content = b""
            for number, record in enumerate(batch, 1):
                places[id(record)] = (len(data) + layout.BATCH.size + len(content), number)
                content += layout.encode_record(record.kind, record.number, record.body, checksum)
            position = self.head.base + len(data)
            data += layout.seal(content, len(batch), position, 0, chain, checksum)
            chain = layout.chain_of(chain, position, 0, content)
        with open(self.path, "wb") as file:
            file.write(data)
        return places
