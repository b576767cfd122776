"""The work every peer does: receive a 100-byte typed record, know it among others, count it.

The record is the message type of `engines.benchmark.oneway`, so that an engine and a bare handler decode the same bytes
into the same struct.
"""

from __future__ import annotations

from typing import Final

import msgspec

from engines.benchmark.oneway import Record, Reset

RECORD: Final = Record(key=b"k" * 64, sequence=1_000_000, source="node/sender/outlet.1")
"""Encodes to 100 bytes."""

encoder: Final = msgspec.msgpack.Encoder()
decoder: Final = msgspec.msgpack.Decoder(Record | Reset)


class Counter:
    """The bare handler: what an engine's guard and action do, without engine, environment and effects."""

    def __init__(self) -> None:
        self.count = 0

    def handle(self, message: Record | Reset) -> None:
        """Count a record; begin again at a reset."""
        if isinstance(message, Record):
            self.count += 1
        else:
            self.count = 0
