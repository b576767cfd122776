"""An append-only file of records. An appended record survives a kill -9 of any process.

| offset | size | type | meaning                                              |
|--------|------|------|------------------------------------------------------|
| 0      | 8    |      | MAGIC, with the format's version as its last byte    |
| then, for each record:                                                     |
| 0      | 4    | u32  | bytes of the payload                                 |
| 4      | 4    | u32  | CRC-32 of the four bytes before                      |
| 8      | 4    | u32  | CRC-32 of the payload                                |
| 12     |      |      | the payload                                          |

All integers are little-endian. A record is written by one write(2). The last one may be torn, if the machine stopped in
the middle of it: opening the file cuts it off and counts its bytes. A file of nothing but zeros is torn from its first
byte: power was lost before any of it reached the disk. Any other damage is refused with its offset, and the file is
left unchanged. The length has a checksum of its own: a damaged length is not mistaken for a torn end.

`rewrite` replaces all records: a temporary file, fsync, rename, fsync of the folder. Crash points: before the rename
the old file is in force, and the next rewrite overwrites the temporary one; after it, the new file is in force.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterable
from typing import Final

from host.live.journal.folder import sync_folder

MAGIC: Final = b"EHLIST\x00\x01"
_HEAD: Final = struct.Struct("<III")
RECORD_BYTES_MAX: Final = 128 << 20
"""Above any message."""


class DamagedFile(OSError):
    """The content of the file is not what was written to it."""


class AppendFile:
    """One open file, for one process at a time: the lock on the folder sees to that. Raises OSError, `DamagedFile`."""

    def __init__(self, path: str) -> None:
        """Open or create it. `records` are those found, `torn_bytes` the number of bytes cut off at the end."""
        self._path = path
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            self.records, self.torn_bytes = self._recover()
        except BaseException:
            os.close(self._fd)
            raise
        self.size = os.fstat(self._fd).st_size

    def append(self, payload: bytes) -> None:
        """Add a record. From here on it survives this process; after `sync` it survives a crash of the machine."""
        framed = _framed(payload)
        written = os.write(self._fd, framed)
        if written != len(framed):
            os.ftruncate(self._fd, self.size)
            raise OSError(f"{self._path}: {written} of {len(framed)} bytes written")
        self.size += written

    def sync(self) -> None:
        """Write everything to the disk."""
        os.fdatasync(self._fd)

    def rewrite(self, payloads: Iterable[bytes]) -> None:
        """Replace all records by these."""
        fresh = f"{self._path}.new"
        fd = os.open(fresh, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(os.dup(fd), "wb") as file:
                file.write(MAGIC + b"".join(map(_framed, payloads)))
            os.fsync(fd)
            os.replace(fresh, self._path)
        except BaseException:
            os.close(fd)
            raise
        sync_folder(os.path.dirname(self._path) or ".")
        os.close(self._fd)
        self._fd, self.size = fd, os.fstat(fd).st_size

    def close(self) -> None:
        """Idempotent."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _recover(self) -> tuple[list[bytes], int]:
        with os.fdopen(os.dup(self._fd), "rb") as file:
            file.seek(0)
            content = file.read()
        if not any(content) or (len(content) < len(MAGIC) and MAGIC.startswith(content)):
            os.ftruncate(self._fd, 0)
            if os.write(self._fd, MAGIC) != len(MAGIC):
                raise OSError(f"{self._path}: there is no room for its first {len(MAGIC)} bytes")
            return [], len(content)
        if not content.startswith(MAGIC):
            raise DamagedFile(f"{self._path}: begins with {content[:8].hex()}, not a file of this version")
        records, end = _read(content, self._path)
        os.ftruncate(self._fd, end)
        return records, len(content) - end


def _read(content: bytes, path: str) -> tuple[list[bytes], int]:
    """The records, and the offset of their end; nothing or a torn record follows."""
    records: list[bytes] = []
    at = len(MAGIC)
    while at + _HEAD.size <= len(content):
        length, length_crc, payload_crc = _HEAD.unpack_from(content, at)
        if zlib.crc32(content[at : at + 4]) != length_crc or length > RECORD_BYTES_MAX:
            if not any(content[at:]):
                break
            raise DamagedFile(f"{path}: a record's length is damaged at offset {at}")
        begin, end = at + _HEAD.size, at + _HEAD.size + length
        payload = content[begin:end]
        if len(payload) < length or zlib.crc32(payload) != payload_crc:
            if end >= len(content):
                break
            raise DamagedFile(f"{path}: a record is damaged at offset {at}")
        records.append(payload)
        at = end
    return records, at


def _framed(payload: bytes) -> bytes:
    length = len(payload).to_bytes(4, "little")
    return _HEAD.pack(len(payload), zlib.crc32(length), zlib.crc32(payload)) + payload
