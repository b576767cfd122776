"""The checksum of a transition's outputs: recorded in its TURN, and compared with that of a replay.

It covers kind, target, mailbox and encoded message of each output, in order. No outputs have 0. A message's bytes are
needed anyway to send it, so `Digest.outgoing` takes them from the caller, `EngineRecorder.number`.
"""

from __future__ import annotations

import struct
from typing import Any, Final

from engines.model import Noted, Output, Spawned, Stopped, encode
from host.node.journal.checksum import Checksum

_MAILBOX: Final = struct.Struct("<BI")
_SUMS: Final = struct.Struct("<II")
ADDRESSES_MAX: Final = 10_000
"""Addresses whose checksum is remembered."""


class Digest:
    """Checksums of outputs for one log."""

    __slots__ = ("_addresses", "_checksum")

    def __init__(self, checksum: Checksum) -> None:
        self._checksum = checksum
        self._addresses: dict[tuple[str, int], int] = {}

    def use(self, checksum: Checksum) -> None:
        """Use checksums of this kind from here on."""
        if checksum is not self._checksum:
            self._checksum = checksum
            self._addresses.clear()

    def outgoing(self, target: str, mailbox: int, payload: bytes) -> int:
        """The checksum of one message."""
        start = self._addresses.get((target, mailbox))
        if start is None:
            start = self._checksum(target.encode(), self._checksum(_MAILBOX.pack(1, mailbox), 0))
            if len(self._addresses) >= ADDRESSES_MAX:
                self._addresses.clear()
            self._addresses[target, mailbox] = start
        return self._checksum(payload, start)

    def join(self, total: int, one: int) -> int:
        """The checksum of outputs with one more behind them. It hashes both checksums together, since continuing one
        with the other would be symmetric, and blind to their order."""
        return self._checksum(_SUMS.pack(total, one), 0)

    def other(self, output: Output) -> int:
        """The checksum of an output that is no message."""
        content: tuple[Any, ...]
        match output:
            case Spawned(name, family, params, state):
                content = (2, name, family, params, state)
            case Noted(text, fields):
                content = (3, text, fields)
            case Stopped():
                content = (4,)
            case _:
                raise AssertionError(output)
        return self._checksum(encode(content), 0)
