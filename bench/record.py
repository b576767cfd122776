"""The work of every peer: receive a 100-byte typed record, recognise its type, count it.

The record is the message type of `engines.benchmark.oneway`, so an engine and a bare handler decode the same bytes into
the same struct.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from engines.benchmark.batch import Batch, Fetch
from engines.benchmark.oneway import Record, Reset

RECORD: Final = Record(key=b"k" * 64, sequence=1_000_000, source="node/sender/outlet.1")
"""Encodes to 100 bytes."""

BATCH_RECORDS: Final = 64
BATCH: Final = Batch((RECORD,) * BATCH_RECORDS)

encoder: Final = msgspec.msgpack.Encoder()
decoder: Final = msgspec.msgpack.Decoder(Record | Reset)
batch_decoder: Final = msgspec.msgpack.Decoder(Batch | Fetch)


def written_record() -> dict[str, Any]:
    """The record in the syntax of the command line."""
    return {"key": "0x" + RECORD.key.hex(), "sequence": RECORD.sequence, "source": RECORD.source}


class Counter:
    """The bare handler: the work of an engine's guard and action, without engine, environment and effects."""

    def __init__(self) -> None:
        self.count = 0

    def handle(self, message: Record | Reset) -> None:
        """Count a record; a reset sets the count to zero."""
        if isinstance(message, Record):
            self.count += 1
        else:
            self.count = 0

    def handle_batch(self, message: Batch | Fetch) -> None:
        """Count the records of a batch; an order sets the count to zero."""
        if isinstance(message, Batch):
            self.count += len(message.records)
        else:
            self.count = 0
