"""The image of a live engine, for the record of a birth, of a new version, or for a snapshot."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import msgspec

from host.node.cell import Cell
from host.node.journal.records import SpawnRecord, StreamImage, Unacked
from host.node.snapshot import cell_image


def stream_image(
    cell: Cell,
    why: Literal["birth", "version", "again", "snapshot"],
    mode: Literal["crash", "durable"],
    epoch: int,
    turns: int,
    now_ns: int,
    unacked: Iterable[Unacked] = (),
    children: Iterable[SpawnRecord] = (),
) -> StreamImage:
    """The image of an engine between two cycles. Its held outputs are among `unacked`, with their numbers."""
    held = msgspec.structs.replace(cell_image(cell), held={}, interface=cell.family.interface())
    code = cell.family.version
    return StreamImage(why, held, mode, epoch, turns, code, now_ns, list(unacked), list(children))
