"""RESP2, the protocol of Redis-compatible stores: commands to bytes, bytes to replies. No input, no output.

A reply is None, an int, bytes, a list of replies, or a `StoreError`. A command's words are encoded as UTF-8; a command
is an array of them, so no word can be read as anything else. Standard library only: an agent's call has 40 ms.

Measured against redis-py 8.1 with three commands at a time on one connection: a fifth of its processor time
(`docs/decisions/0014-agents.md`).
"""

from __future__ import annotations

from ..names import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any, Final, TypeAlias


Word: TypeAlias = str | bytes | int | float
Reply: TypeAlias = "Any"

BULK, ARRAY, NUMBER, WORD, ERROR = b"$*:+-"

DEPTH_MAX: Final = 8
"""Levels of arrays in a reply; XREADGROUP has five."""

REPLY_BYTES_MAX: Final = 512 << 20
"""More than any reply to our commands, and than the store holds."""


class StoreError(Exception):
    """The store refused a command. `code` is its first word, such as NOAUTH, NOPERM, OOM, BUSYGROUP."""

    @property
    def code(self) -> str:
        """The first word."""
        return str(self).partition(" ")[0]


class ProtocolError(Exception):
    """The bytes are no reply: the other end is no store."""


class _Incomplete(Exception):
    """The reply is not there yet; `size` bytes at least are needed from its start."""

    def __init__(self, size: int) -> None:
        self.size = size


def command(*words: Word) -> bytes:
    """The bytes of a command. Words that are all ASCII, as most are, become bytes in one go."""
    texts = [word if isinstance(word, str | bytes) else str(word) for word in words]
    try:
        if "".join(texts).isascii():  # type: ignore[arg-type]
            whole = "".join([f"${len(text)}\r\n{text}\r\n" for text in texts])  # type: ignore[str-bytes-safe]
            return f"*{len(texts)}\r\n{whole}".encode()
    except TypeError:
        pass
    parts = [b"*%d\r\n" % len(texts)]
    for text in texts:
        data = text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")
        parts.append(b"$%d\r\n%b\r\n" % (len(data), data))
    return b"".join(parts)


class Replies:
    """Replies from bytes that arrive in pieces."""

    def __init__(self) -> None:
        self._bytes = bytearray()
        self._needed = 0

    def feed(self, data: bytes) -> list[Reply]:
        """The replies that are complete with these bytes. Raises ProtocolError."""
        if self._bytes:
            self._bytes += data
            if len(self._bytes) <= self._needed:
                return []
            data = bytes(self._bytes)
        found: list[Reply] = []
        at = self._needed = 0
        while at < len(data):
            try:
                reply, at = _read(data, at, 0)
            except _Incomplete as incomplete:
                self._needed = incomplete.size - at - 1
                break
            found.append(reply)
        self._bytes = bytearray(data[at:])
        return found


def _read(data: bytes, at: int, depth: int) -> tuple[Reply, int]:
    end = data.find(b"\r\n", at)
    if end < 0:
        raise _Incomplete(len(data) + 1)
    kind, line, after = data[at], data[at + 1 : end], end + 2
    if kind == BULK:
        return _bulk(data, _number(line), after)
    if kind == ARRAY:
        return _array(data, _number(line), after, depth)
    if kind == NUMBER:
        return _number(line), after
    if kind == WORD:
        return line, after
    if kind == ERROR:
        return StoreError(line.decode(errors="replace")), after
    raise ProtocolError(f"a reply begins with {data[at : at + 1]!r}")


def _bulk(data: bytes, size: int, at: int) -> tuple[Reply, int]:
    if size < 0:
        return None, at
    if size > REPLY_BYTES_MAX:
        raise ProtocolError(f"a reply of {size:,} bytes")
    end = at + size
    if len(data) < end + 2:
        raise _Incomplete(end + 2)
    return data[at:end], end + 2


def _array(data: bytes, count: int, at: int, depth: int) -> tuple[Reply, int]:
    if count < 0:
        return None, at
    if depth >= DEPTH_MAX:
        raise ProtocolError("a reply of too many levels")
    items = []
    for _ in range(count):
        item, at = _read(data, at, depth + 1)
        items.append(item)
    return items, at


def _number(line: bytes) -> int:
    try:
        return int(line)
    except ValueError:
        raise ProtocolError(f"{line[:40]!r} is no number") from None
