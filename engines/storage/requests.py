"""What can be asked of a chunk store, and its answers."""

from __future__ import annotations

from typing import Annotated, Final, Literal, TypeAlias

from msgspec import Meta

from engines.devices.file_store import DeleteFiles, FilesVerified, GetFile, PutFile, VerifyFiles
from engines.devices.key_value import KEY_BYTES_MAX, ChangeValues, DeleteValue, GetValue, ScanValues, SetValue
from engines.model import Blob, Config, Message, Ref, Value
from engines.storage.chunk import Address, ChunkCommitment

NAME_CHARS_MAX: Final = 100
PINS_MAX: Final = 1_000
"""Pins that one answer lists."""

BELOW_MAX: Final = 256
"""Chunks below the first that one request gets."""

Index: TypeAlias = GetValue | SetValue | DeleteValue | ChangeValues | ScanValues
Disk: TypeAlias = PutFile | GetFile | DeleteFiles | VerifyFiles
PinName: TypeAlias = Annotated[str, Meta(min_length=1, max_length=NAME_CHARS_MAX)]
Reason: TypeAlias = Literal["malformed", "expired", "not signed", "damaged", "full", "busy", "timeout"]


class Stores(Config):
    """The devices below; how long one may take; how long a chunk needs no pin after it was put."""

    files: Ref[PutFile | GetFile | DeleteFiles | VerifyFiles]
    index: Ref[GetValue | SetValue | DeleteValue | ChangeValues | ScanValues]
    wait_ns: Annotated[int, Meta(ge=1_000_000)] = 5_000_000_000
    grace_ns: Annotated[int, Meta(ge=0)] = 3_600_000_000_000


class ChunkPut(Message):
    """Keep this chunk, in the form of `engines/storage/chunk.py`."""

    chunk: Blob
    reply: Ref[ChunkStored | ChunkExists | ChunkFailed]
    request: int = 0


class ChunkStored(Message):
    """The chunk is on the disk."""

    address: bytes
    request: int


class ChunkExists(Message):
    """The chunk was on the disk already."""

    address: bytes
    request: int


class ChunkFailed(Message):
    """Nothing was done, for this reason. After `busy` and `timeout` it helps to repeat the request."""

    reason: Reason
    detail: str
    request: int


class ChunkGet(Message):
    """Send the chunk, else the commitments of those who promised to keep it.

    With a `depth` the chunks below it follow, down to so many levels, level by level, each in an answer; at most
    `BELOW_MAX` of them. The answer whose `following` is 0 is the last.
    """

    address: Address
    reply: Ref[ChunkContent | ChunkCommitments | ChunkNotFound | ChunkFailed]
    request: int = 0
    depth: Annotated[int, Meta(ge=0, le=16)] = 0


class ChunkContent(Message):
    """The chunk; so many answers are known to follow it."""

    address: bytes
    chunk: Blob
    request: int
    following: int = 0


class ChunkCommitments(Message):
    """The chunk is not here, but these promised to keep it."""

    address: bytes
    commitments: tuple[ChunkCommitment, ...]
    request: int


class ChunkNotFound(Message):
    """The chunk is not here, and no promise to keep it is; so many answers are known to follow this one."""

    address: bytes
    request: int
    following: int = 0


class Commit(Message):
    """Take note of a commitment. The chunk need not be here."""

    commitment: ChunkCommitment
    reply: Ref[Marked | ChunkNotFound | ChunkFailed]
    request: int = 0


class Pin(Message):
    """Keep a chunk that is here, and all below it, until `Unpin`."""

    address: Address
    name: PinName
    reply: Ref[Marked | ChunkNotFound | ChunkFailed]
    request: int = 0


class Unpin(Message):
    """Let there be no such pin."""

    address: Address
    name: PinName
    reply: Ref[Marked | ChunkNotFound | ChunkFailed]
    request: int = 0


class Marked(Message):
    """The commitment or pin is in the index, or the pin is gone."""

    address: bytes
    request: int


class Collect(Message):
    """Drop the chunks that have neither a commitment nor a pin."""

    reply: Ref[Collected | ChunkFailed]
    request: int = 0


class Collected(Message):
    """So many chunks are gone, of so many bytes, and so many are kept."""

    dropped: int
    dropped_bytes: int
    kept: int
    request: int


class ListPins(Message):
    """Send pins, from this key of the index on."""

    reply: Ref[Pins | ChunkFailed]
    first: Annotated[bytes, Meta(max_length=KEY_BYTES_MAX)] = b""
    request: int = 0


class Pinned(Value):
    """A pin: its name, and the chunk under it."""

    name: str
    address: bytes


class Pins(Message):
    """Pins, by address; `following` is the key to go on with, b"" at the end."""

    pins: tuple[Pinned, ...]
    following: bytes
    request: int


class Verify(Message):
    """Compare the files of chunks with their hashes, as `VerifyFiles`; the file store answers."""

    reply: Ref[FilesVerified]
    first: Annotated[bytes, Meta(max_length=32)] = b""
    count: Annotated[int, Meta(ge=1, le=1_000)] = 64
    request: int = 0
