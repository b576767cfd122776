"""The seam between who orders and who executes: `Ordered`, and nothing else."""

from __future__ import annotations

from engines.model import Message


class OrderBatch(Message):
    """To the source of order: there is a batch with this digest."""

    digest: bytes


class Ordered(Message):
    """From the source of order: the digests of index n. Indices are consecutive, from 1; each is a height."""

    index: int
    digests: tuple[bytes, ...]
