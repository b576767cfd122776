"""A snapshot as bytes: the state of a log at a position, with a checksum over all of it.

| offset | size | type | meaning |
|---|---|---|---|
| 0  | 7  |     | `EHSNAP\\n` |
| 7  | 1  | u8  | version of the format; a reader refuses a newer one |
| 8  | 1  | u8  | checksum kind, as of a segment |
| 9  | 7  |     | 0 |
| 16 | 8  | u64 | position |
| 24 | 8  | u64 | bytes of the state |
| 32 | 16 |     | id of the log |
| 48 | 4  | u32 | checksum of the 48 bytes before and the state |
| 52 | 4  | u32 | 0 |
| 56 |    |     | `LogState` as MessagePack |
"""

from __future__ import annotations

import struct
from typing import Final

import msgspec

from host.node.journal.checksum import Checksum
from host.node.journal.layout import Newer, Wrong
from host.node.journal.replay import LogState

MAGIC: Final = b"EHSNAP\n"
VERSION: Final = 1
HEAD: Final = struct.Struct("<7sBB7xQQ16sI4x")
_SUMMED: Final = 48


class Snapshot(msgspec.Struct, frozen=True):
    """A decoded snapshot."""

    position: int
    log_id: bytes
    state: LogState


def encode_snapshot(position: int, log_id: bytes, state: LogState, kind: int, checksum: Checksum) -> bytes:
    """The bytes of a snapshot file."""
    body = msgspec.msgpack.encode(state)
    head = HEAD.pack(MAGIC, VERSION, kind, position, len(body), log_id, 0)[:_SUMMED]
    summed = checksum(body, checksum(head, 0))
    return b"".join((head, summed.to_bytes(4, "little"), bytes(4), body))


def decode_snapshot(data: memoryview, checksums: dict[int, Checksum]) -> Snapshot:
    """The snapshot in a file. Raises `Wrong`, `Newer`."""
    if len(data) < HEAD.size:
        raise Wrong(f"{len(data)} bytes are less than a snapshot's head")
    magic, version, kind, position, size, log_id, summed = HEAD.unpack_from(data)
    checksum = checksums.get(kind)
    if magic != MAGIC or checksum is None or any(data[9:16]) or any(data[52:56]):
        raise Wrong("does not begin like a snapshot")
    body = data[HEAD.size :]
    if len(body) != size or checksum(body, checksum(data[:_SUMMED], 0)) != summed:
        raise Wrong("the snapshot does not agree with its checksum")
    if version > VERSION:
        raise Newer(f"snapshot of format {version}; this program reads up to format {VERSION}")
    try:
        return Snapshot(position, log_id, msgspec.msgpack.decode(body, type=LogState))
    except msgspec.DecodeError as error:
        raise Wrong(f"the snapshot cannot be read: {error}") from None
