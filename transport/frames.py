"""The layout of a frame in pure Python: `frame.h` is the same in C, where its table stands; change both together.

ZeroMQ links send these bytes. They are written with zlib's CRC-32, which Python computes fast, and read with either
checksum. Nothing that came in is trusted: every length is held against what is left, and what is wrong raises `Broken`.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from typing import Final

from transport.crc32c import crc32c
from transport.port import FRAME_MESSAGES_MAX, KIND_GO, KIND_MESSAGES, Broken, Frame, Payload

HEADER: Final = struct.Struct("<IIBBHIQQQIHH")
"""length, checksum, checksum kind, kind, 0, count, position, first_n, epoch, mailbox, sender bytes, target bytes."""

CHECKED_FROM: Final = 8
"""The checksum covers the bytes from here to the frame's end."""

NAME_BYTES_MAX: Final = 1024
CHECKSUM_CRC32C: Final = 1
CHECKSUM_CRC32: Final = 2
_LENGTH: Final = struct.Struct("<I")
_PADDINGS: Final = tuple(bytes(-size % 4) for size in range(4))


def message_bytes(payload_bytes: int) -> int:
    """What a message takes in a frame."""
    return 4 + (payload_bytes + 3 & ~3)


def head_bytes(sender: bytes, target: bytes) -> int:
    """What a frame takes before its first message."""
    return HEADER.size + (len(sender) + len(target) + 7 & ~7)


def encode_frame(frame: Frame, position: int) -> bytes:
    """The bytes of a frame. `frame.peer` is not part of them."""
    sender, target = frame.sender.encode(), frame.target.encode()
    names = sender + target
    parts: list[Payload] = [names, bytes(-len(names) % 8)]
    pack, paddings = _LENGTH.pack, _PADDINGS
    for payload in frame.payloads:
        size = len(payload)
        parts += (pack(size), payload, paddings[size & 3])
    body = b"".join(parts)
    fields = (CHECKSUM_CRC32, frame.kind, 0, len(frame.payloads), position, frame.first_n, frame.epoch, frame.mailbox)
    head = HEADER.pack(HEADER.size + len(body), 0, *fields, len(sender), len(target))
    checksum = zlib.crc32(body, zlib.crc32(head[CHECKED_FROM:]))
    return head[:4] + _LENGTH.pack(checksum) + head[CHECKED_FROM:] + body


def decode_frame(data: bytes, peer: int, position: int) -> Frame:
    """The frame in `data`, which came from `peer` and should be at `position`. Raises Broken with the finding."""
    if len(data) < HEADER.size:
        raise Broken(f"{len(data)} bytes are less than a header")
    length, checksum, checksum_kind, kind, zero, count, at, first_n, epoch, mailbox, *names = HEADER.unpack_from(data)
    if length != len(data):
        raise Broken(f"a frame of {length} bytes in {len(data)}")
    _check_sum(data, checksum_kind, checksum)
    if at != position:
        raise Broken(f"frame says it is at position {at}, not {position}")
    if kind > KIND_GO or zero != 0:
        raise Broken(f"kind {kind} with {zero} is not known")
    if count > FRAME_MESSAGES_MAX or (kind != KIND_MESSAGES and count != 0):
        raise Broken(f"count {count} is too large for kind {kind}")
    sender, target, start = _decode_names(data, *names)
    return Frame(peer, kind, sender, target, mailbox, epoch, first_n, _decode_messages(data, start, count))


def _check_sum(data: bytes, checksum_kind: int, checksum: int) -> None:
    summing = _SUMS.get(checksum_kind)
    if summing is None:
        raise Broken(f"checksum kind {checksum_kind} is not known")
    computed = summing(memoryview(data)[CHECKED_FROM:])
    if computed != checksum:
        raise Broken(f"checksum is {checksum:08x}, the bytes give {computed:08x}")


def _decode_names(data: bytes, sender_bytes: int, target_bytes: int) -> tuple[str, str, int]:
    """Sender, target, and where the first message begins."""
    middle = HEADER.size + sender_bytes
    end = middle + target_bytes
    start = HEADER.size + (sender_bytes + target_bytes + 7 & ~7)
    if max(sender_bytes, target_bytes) > NAME_BYTES_MAX or start > len(data):
        raise Broken(f"names of {sender_bytes} and {target_bytes} bytes are too long")
    try:
        return data[HEADER.size : middle].decode(), data[middle:end].decode(), start
    except UnicodeDecodeError:
        raise Broken("a name is not UTF-8") from None


def _decode_messages(data: bytes, start: int, count: int) -> list[Payload]:
    """Written for speed: `message_bytes` is not called for each."""
    payloads: list[Payload] = []
    append, unpack, end = payloads.append, _LENGTH.unpack_from, len(data)
    for _ in range(count):
        at = start + 4
        if at > end:
            raise Broken("a message begins behind the frame's end")
        (size,) = unpack(data, start)
        start = at + (size + 3 & ~3)
        if start > end:
            raise Broken(f"a message of {size} bytes reaches beyond the frame's end")
        append(data[at : at + size])
    if start != end:
        raise Broken(f"{end - start} bytes behind the last message")
    return payloads


_SUMS: Final[dict[int, Callable[[memoryview], int]]] = {CHECKSUM_CRC32C: crc32c, CHECKSUM_CRC32: zlib.crc32}
