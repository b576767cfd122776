"""Raw frames in a journal. Their layout is that of `transport/frame.h`; a record's checksum replaces theirs.

On the way a large message lies in a block of its sender's arena; in the journal it lies in the frame, like a small one.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Final

from host.node.journal.layout import Wrong
from host.node.mailbox import Mail
from transport.frames import HEADER, encode_frame, head_bytes
from transport.port import KIND_MESSAGES, Frame, Payload

_LENGTH: Final = struct.Struct("<I").unpack_from


def frame_bytes(sender: str, target: str, mailbox: int, epoch: int, first_n: int, payloads: Sequence[Payload]) -> bytes:
    """A frame for mail that did not come as a raw frame: a neighbour's, or a message from a block."""
    return encode_frame(Frame(0, KIND_MESSAGES, sender, target, mailbox, epoch, first_n, list(payloads)), 0)


def read_frame(data: memoryview) -> Mail:
    """The mail of a raw frame. Raises `Wrong`."""
    if len(data) < HEADER.size:
        raise Wrong(f"a frame of {len(data)} bytes")
    length, _, _, kind, flags, count, _, first_n, epoch, mailbox, sender_bytes, target_bytes = HEADER.unpack_from(data)
    names = HEADER.size + sender_bytes
    if length != len(data) or kind != KIND_MESSAGES or flags or names + target_bytes > length:
        raise Wrong(f"a frame of kind {kind} with flags {flags} and {length} bytes in {len(data)}")
    content = data.tobytes()
    try:
        sender, target = content[HEADER.size : names].decode(), content[names : names + target_bytes].decode()
    except UnicodeDecodeError:
        raise Wrong("a name in a frame is not UTF-8") from None
    at = head_bytes(content[HEADER.size : names], content[names : names + target_bytes])
    return Mail(sender, target, mailbox, epoch, first_n, _payloads(content, at, count))


def _payloads(content: bytes, at: int, count: int) -> list[bytes]:
    payloads = []
    end = len(content)
    for _ in range(count):
        start = at + 4
        if start > end:
            raise Wrong("a message begins behind its frame's end")
        (size,) = _LENGTH(content, at)
        at = start + (size + 3 & ~3)
        if at > end:
            raise Wrong(f"a message of {size} bytes reaches beyond its frame's end")
        payloads.append(content[start : start + size])
    return payloads
