"""The bytes of a log: segment heads, batches, records. All words are little endian; nothing here interprets a record.

A *position* counts bytes of the log since it was made, heads included. A segment begins at its `base`, a batch at its
`position`; bytes behind the base of the next segment no longer count.

Segment head, SEGMENT.size bytes, then batches:

| offset | size | type | meaning |
|---|---|---|---|
| 0  | 7  |     | `EHLOG\\r\\n` |
| 7  | 1  | u8  | version of the format; a reader reads older ones and refuses a newer one |
| 8  | 1  | u8  | checksum kind of this segment: 1 CRC32C, 2 zlib's CRC-32 |
| 9  | 7  |     | 0 |
| 16 | 8  | u64 | number of the segment; numbers rise |
| 24 | 8  | u64 | base |
| 32 | 8  | u64 | synced: everything before this position was on the disk when this was written |
| 40 | 8  | u64 | engine time when it was made |
| 48 | 16 |     | id of the log |
| 64 | 16 |     | id of the machine's boot |
| 80 | 16 |     | chain so far |
| 96 | 4  | u32 | checksum of the 96 bytes before |
| 100| 4  | u32 | 0 |

Batch, BATCH.size bytes, then records to a length that is a multiple of 8:

| offset | size | type | meaning |
|---|---|---|---|
| 0  | 4  | u32 | MAGIC |
| 4  | 4  | u32 | bytes of the batch with this head |
| 8  | 4  | u32 | count of records |
| 12 | 4  | u32 | 1: chained |
| 16 | 8  | u64 | position |
| 24 | 8  | u64 | synced, as above |
| 32 | 16 |     | if chained BLAKE2b of (chain so far, the two words before, all records), else zeros |
| 48 | 4  | u32 | checksum of the 48 bytes before |
| 52 | 4  | u32 | 0 |

Record, RECORD.size bytes, then its body, then zeros to a multiple of 8:

| offset | size | type | meaning |
|---|---|---|---|
| 0  | 4  | u32 | bytes of the record with this head, without the zeros |
| 4  | 4  | u32 | checksum of all bytes that follow of the record |
| 8  | 1  | u8  | kind |
| 9  | 3  |     | 0 |
| 12 | 4  | u32 | number of the engine's name in this segment, 0 for none |
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from hashlib import blake2b
from typing import Final

import msgspec

from host.node.journal.checksum import Checksum

VERSION: Final = 2
"""1: no digests of states, and no value law (`old_rules`)."""
MAGIC_SEGMENT: Final = b"EHLOG\r\n"
MAGIC_BATCH: Final = 0x48435442
SEGMENT: Final = struct.Struct("<7sBB7xQQQQ16s16s16sI4x")
BATCH: Final = struct.Struct("<IIIIQQ16sI4x")
RECORD: Final = struct.Struct("<IIB3xI")
CHAINED: Final = 1
NO_CHAIN: Final = bytes(16)

BATCH_BYTES_MAX: Final = 1 << 30
"""A batch has the mail of one cycle: some thousand messages, one of them up to 64 MiB, and headroom."""

_HASHED: Final = struct.Struct("<QQ")
_SUMMED: Final = struct.Struct("<B3xI")
_SEGMENT_SUMMED: Final = 96
_BATCH_SUMMED: Final = 48


class Wrong(Exception):
    """Bytes that no writer writes; the text gives the finding."""


class Newer(Exception):
    """A segment of a later format: a later version of the program can read it."""


class SegmentHead(msgspec.Struct, frozen=True):
    """The head of a segment; `kind` is its checksum's."""

    kind: int
    number: int
    base: int
    synced: int
    made_ns: int
    log_id: bytes
    boot_id: bytes
    chain: bytes
    version: int = VERSION


class BatchHead(msgspec.Struct, frozen=True, gc=False):
    """The head of a batch."""

    size: int
    count: int
    flags: int
    position: int
    synced: int
    chain: bytes


def encode_segment(head: SegmentHead, checksum: Checksum) -> bytes:
    """The bytes of a segment's head."""
    fields = (head.number, head.base, head.synced, head.made_ns, head.log_id, head.boot_id, head.chain)
    data = SEGMENT.pack(MAGIC_SEGMENT, head.version, head.kind, *fields, 0)
    summed = checksum(data[:_SEGMENT_SUMMED], 0)
    return data[:_SEGMENT_SUMMED] + summed.to_bytes(4, "little") + bytes(4)


def decode_segment(data: memoryview, checksums: dict[int, Checksum]) -> SegmentHead:
    """The head at the start of a segment. Raises `Wrong`, `Newer`."""
    if len(data) < SEGMENT.size:
        raise Wrong(f"{len(data)} bytes are less than a segment's head")
    magic, version, kind, number, base, synced, made_ns, log_id, boot_id, chain, summed = SEGMENT.unpack_from(data)
    if magic != MAGIC_SEGMENT:
        raise Wrong(f"begins with {bytes(data[:8]).hex()}, not like a segment")
    checksum = checksums.get(kind)
    is_sound = any(one(data[:_SEGMENT_SUMMED], 0) == summed for one in ([checksum] if checksum else checksums.values()))
    if version > VERSION and is_sound:
        raise Newer(f"format {version}; this program reads up to format {VERSION}")
    if checksum is None or not is_sound or version < 1 or any(data[9:16]) or any(data[100:104]):
        raise Wrong("the segment's head does not agree with its checksum")
    return SegmentHead(kind, number, base, synced, made_ns, log_id, boot_id, chain, version)


def seal(records: bytes, count: int, position: int, synced: int, chain: bytes | None, checksum: Checksum) -> bytes:
    """A batch around its records, chained behind `chain` unless that is None."""
    flags, hashed = (0, NO_CHAIN) if chain is None else (CHAINED, chain_of(chain, position, synced, records))
    head = BATCH.pack(MAGIC_BATCH, BATCH.size + len(records), count, flags, position, synced, hashed, 0)
    summed = checksum(head[:_BATCH_SUMMED], 0)
    return b"".join((head[:_BATCH_SUMMED], summed.to_bytes(4, "little"), bytes(4), records))


def chain_of(before: bytes, position: int, synced: int, records: bytes | memoryview) -> bytes:
    """The hash of a batch, chained to the one before."""
    return blake2b(records, digest_size=16, key=before + _HASHED.pack(position, synced)).digest()


def decode_batch(data: memoryview, at: int, checksum: Checksum) -> BatchHead:
    """The head of the batch at offset `at`; its records are not read. Raises `Wrong`."""
    if len(data) - at < BATCH.size:
        raise Wrong(f"{len(data) - at} bytes are less than a batch's head")
    magic, size, count, flags, position, synced, chain, summed = BATCH.unpack_from(data, at)
    if magic != MAGIC_BATCH:
        raise Wrong(f"begins with {bytes(data[at : at + 4]).hex()}, not like a batch")
    if checksum(data[at : at + _BATCH_SUMMED], 0) != summed or any(data[at + 52 : at + 56]):
        raise Wrong("the batch's head does not agree with its checksum")
    if size < BATCH.size or size % 8 or size > BATCH_BYTES_MAX or flags > CHAINED:
        raise Wrong(f"a batch of {size} bytes with flags {flags}")
    return BatchHead(size, count, flags, position, synced, chain)


def encode_record(kind: int, engine: int, body: bytes | memoryview, checksum: Checksum) -> bytes:
    """The bytes of a record, padded."""
    summed = _SUMMED.pack(kind, engine)
    size = RECORD.size + len(body)
    head = size.to_bytes(4, "little") + checksum(body, checksum(summed, 0)).to_bytes(4, "little")
    return b"".join((head, summed, body, bytes(-size % 8)))


Pack = Callable[[int, int, bytes | memoryview], bytes]
"""From kind, engine and body to a record."""


def packer(checksum: Checksum) -> Pack:
    """`encode_record` with this checksum."""
    return lambda kind, engine, body: encode_record(kind, engine, body, checksum)


def records_in(data: memoryview, count: int, checksum: Checksum) -> Iterator[tuple[int, int, memoryview]]:
    """Kind, engine and body of each record in a batch. Raises `Wrong`."""
    at, end = 0, len(data)
    for _ in range(count):
        if end - at < RECORD.size:
            raise Wrong("a record begins behind the batch's end")
        size, summed, kind, engine = RECORD.unpack_from(data, at)
        after = at + (size + 7 & ~7)
        if size < RECORD.size or after > end:
            raise Wrong(f"a record of {size} bytes reaches beyond the batch's end")
        if checksum(data[at + 8 : at + size], 0) != summed or any(data[at + size : after]):
            raise Wrong(f"a record of kind {kind} does not agree with its checksum")
        yield kind, engine, data[at + RECORD.size : at + size]
        at = after
    if at != end:
        raise Wrong(f"{end - at} bytes behind the last record of a batch")
