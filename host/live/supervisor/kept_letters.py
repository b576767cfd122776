"""Dead letters on the disk, for when the node is down: the newest letters, and all counts.

While the node runs they are in memory (`host.node.dead_letters`). The file is rewritten every `KEEP_S` if a letter
came, and when the node stops: a kill of the supervisor loses the letters of the last seconds. An error of the disk
costs the file, never the node. The format is MessagePack, because a message may hold bytes.
"""

from __future__ import annotations

import contextlib
import os
import time
from typing import Any, Final

import msgspec

from host.live.journal.folder import replace_file
from host.node.dead_letters import LETTERS_MAX, DeadLetters
from host.node.news import Letter

LETTERS: Final = "dead_letters.msgpack"
"""Name of the file in the data folder."""

KEEP_S: Final = 10.0

LETTERS_BYTES_MAX: Final = 4 << 20
"""Size of the letters in the file, without the counts; the oldest are left out."""


class LettersFile(msgspec.Struct, frozen=True):
    """The content of the file. `letters` are items of `dead-letters`, the oldest first."""

    counts: dict[str, int]
    letters: list[msgspec.Raw]


class KeptLetters:
    """Writes the letters of one node."""

    def __init__(self, data: str, letters: DeadLetters) -> None:
        self._path = os.path.join(data, LETTERS)
        self._letters = letters
        self._count = -1
        self._kept_s = 0.0

    def tend(self) -> None:
        """Called periodically."""
        if time.monotonic() - self._kept_s >= KEEP_S:
            self.keep()

    def keep(self) -> None:
        """Write the file, unless no letter came since the last time."""
        self._kept_s = time.monotonic()
        count = sum(self._letters.counts.values())
        if count == self._count:
            return
        kept = LettersFile(self._letters.counts, _newest(self._letters))
        with contextlib.suppress(OSError):
            replace_file(self._path, msgspec.msgpack.encode(kept), synced=False)
            self._count = count


def letter_item(letter: Letter) -> dict[str, Any]:
    """An item of `dead-letters`."""
    item: dict[str, Any] = msgspec.structs.asdict(letter)
    item["time"] = item.pop("now_ns")
    return item


def _newest(letters: DeadLetters) -> list[msgspec.Raw]:
    found: list[msgspec.Raw] = []
    left = LETTERS_BYTES_MAX
    for letter in reversed(letters.newest(LETTERS_MAX)):
        body = msgspec.msgpack.encode(letter_item(letter))
        left -= len(body)
        if left < 0:
            break
        found.append(msgspec.Raw(body))
    return found[::-1]
