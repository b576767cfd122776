"""Events and log lines for operators, each in a bounded file and a bounded ring, with followers.

A line is one JSON object. A file that reaches `FILE_BYTES_MAX` is renamed to `<name>.1`, replacing the one before: a
node never holds more than two of each. The supervisor's loop writes the collected lines once a turn. A disk that
refuses costs the lines of that turn (counted as `lost`), never the node.
"""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, Final

import msgspec

from host.config.scalars import for_json

FILE_BYTES_MAX: Final = 16 << 20
"""Size at which a file is set aside."""

RING_MAX: Final = 10_000
"""Items kept in memory to answer `events` and `logs` from."""

Item = dict[str, Any]
Follower = Callable[[list[Item]], None]

_encode = msgspec.json.Encoder(enc_hook=str).encode


def _line(item: Item) -> bytes:
    """The encoder also writes `null` for a float without a JSON number: only a line with `null` is walked."""
    text = _encode(item)
    return (_encode(for_json(item)) if b"null" in text else text) + b"\n"


class Record:
    """One file with its ring. `append` may be called at any time in the loop's thread.

    `source` is called before each read, and may append items first.
    """

    def __init__(self, path: str) -> None:
        self.lost = 0
        self.source: Callable[[], None] = lambda: None
        self._path = path
        self._ring: deque[Item] = deque(maxlen=RING_MAX)
        self._fresh: list[Item] = []
        self._followers: set[Follower] = set()
        self._fd = -1
        self._size = 0
        self._open()

    def append(self, items: Iterable[Item]) -> None:
        """Add items, in order; they reach file and followers at the end of this turn of the loop."""
        if not self._fresh:
            asyncio.get_running_loop().call_soon(self.flush)
        self._fresh.extend(items)

    def newest(self, limit: int, engine: str = "") -> list[Item]:
        """At most `limit` items, oldest first, of one engine or of all."""
        self.source()
        self.flush()
        found = [item for item in self._ring if not engine or item.get("engine") == engine]
        return found[-limit:] if limit > 0 else []

    def follow(self, follower: Follower) -> None:
        """Call `follower` with new items, until `leave`."""
        self.flush()
        self._followers.add(follower)

    def leave(self, follower: Follower) -> None:
        """Undo `follow`. Idempotent."""
        self._followers.discard(follower)

    def flush(self) -> None:
        """Write the fresh items and hand them to the followers."""
        fresh, self._fresh = self._fresh, []
        if not fresh:
            return
        self._ring.extend(fresh)
        self._write(fresh)
        for follower in tuple(self._followers):
            follower(fresh)

    def close(self) -> None:
        """Flush and close. Idempotent."""
        if self._fd >= 0:
            self.source()
            self.flush()
            os.close(self._fd)
            self._fd = -1

    def _write(self, items: list[Item]) -> None:
        body = b"".join(_line(item) for item in items)
        if self._size + len(body) > FILE_BYTES_MAX:
            self._set_aside()
        try:
            self._size += os.write(self._fd, body)
        except OSError:
            self.lost += len(items)

    def _set_aside(self) -> None:
        try:
            os.replace(self._path, self._path + ".1")
        except OSError:
            return
        os.close(self._fd)
        self._open()

    def _open(self) -> None:
        self._fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._size = os.fstat(self._fd).st_size
