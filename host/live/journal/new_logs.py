"""The logs of a node that never ran, for a run that something else than a live node makes.

They are written into a folder beside the one asked for, which gets its name once all of them are closed. So the data
folder is there whole, or not at all.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Sequence

from engines.model import load_family
from host.live.journal.checksums import checksums
from host.live.journal.data_folder import Occupied, log_folder, pin
from host.live.journal.folder import sync_folder
from host.live.journal.frames import frame_bytes
from host.live.journal.recovery import begin, boot_id, recover
from host.live.journal.writer import Journal
from host.node.cell import Cell
from host.node.journal.digest import Digest
from host.node.journal.state_digest import DigestWriter
from host.node.journaled.keeping import Keeping
from transport.local import Hub


class NewLogs:
    """Mutable; a context. Leaving it without `finish` leaves nothing behind."""

    def __init__(self, data: str, node: str, roots: Sequence[str], clock: Callable[[], int]) -> None:
        """`data` is the folder to be made. Raises `Occupied`, OSError."""
        self._data = os.path.abspath(data)
        if os.path.lexists(self._data):
            raise Occupied(f"there is something at {data} already: name a folder that is yet to be made")
        self._node = node
        self._roots = tuple(roots)
        self._clock = clock
        self._link = Hub().link(1)  # nothing leaves by it
        self._logs: list[tuple[Journal, Keeping]] = []
        self._made = tempfile.mkdtemp(prefix=".new-", dir=os.path.dirname(self._data))
        seed = os.environ.get("PYTHONHASHSEED", "")
        pin(self._made, node, self._roots, int(seed) if seed.isdecimal() else 0)

    def __enter__(self) -> NewLogs:
        return self

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self._made, ignore_errors=True)
        self._link.close()

    def open(self, slot: str) -> Keeping:
        """Begin the log of a slot, which is named after its engine. Raises OSError, `LogStopped`."""
        folder = log_folder(self._made, slot, make=True)
        found = recover(folder, self._node, lambda ref: load_family(ref, self._roots), boot_id())
        journal = begin(folder, found, boot_id(), self._clock, durable=False)
        keeping = Keeping(journal.batch, Digest(checksums()[journal.head.kind]), frame_bytes, self._link)
        self._logs.append((journal, keeping))
        return keeping

    def finish(self) -> None:
        """Write digests of all states, close the logs, and give the folder its name. Raises OSError, `LogStopped`."""
        for journal, keeping in self._logs:
            DigestWriter(journal.batch.changed, _cells(keeping), journal.record, self._clock).write_all()
            journal.close()
        os.rename(self._made, self._data)
        sync_folder(os.path.dirname(self._data))


def _cells(keeping: Keeping) -> Callable[[str], Cell | None]:
    kept = keeping.kept
    return lambda name: kept[name].cell if name in kept else None
