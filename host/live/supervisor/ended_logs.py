"""Keeps the logs of ended children within `journal: {retain_bytes, retain_ns}`, a bound on all of them together.

A log may be removed when it is marked as closed and no parent will spawn its child again. For a child that ended in
this life, that holds once its parent has answered a query sent after the news (`farewell`). For marks of earlier lives
it holds once all slots with a journal run, since each parent reports its children before it is ready. A slot that is
degraded or finished may hold such a parent: then older logs stay. States and crash points: `host.live.journal.over`.

Files are read and removed in a thread: the loop never waits for a disk. An error of the disk is reported once
(`logs_kept`); the next life tries again.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from typing import Any, Final

from host.config.spec import JournalSpec
from host.node.journal.retention import Over, over_at

REMOVED_MAX: Final = 1_000
"""Logs removed in one round."""


class EndedLogs:
    """Mutable, one a node."""

    def __init__(
        self, data: str, life: int, spec: JournalSpec, all_run: Callable[[], bool], event: Callable[..., Any]
    ) -> None:
        """`life` is 0 where no engine has a journal: then there is nothing to do.

        Args:
            all_run: whether each slot with a journal runs.
            event: records an event by kind, engine, and fields.
        """
        self._data = data
        self._spec = spec
        self._all_run = all_run
        self._event = event
        self._life = life
        self._known: dict[str, Over] = {}
        self._confirmed: set[str] = set()
        self._again: set[str] = set()
        self._has_looked = False
        self._task: asyncio.Task[None] | None = None

    def bear_again(self, slot: str) -> None:
        """A parent spawns a child of its earlier process again: the log of the child's slot is needed."""
        self._again.add(slot)

    def confirm(self, slot: str) -> None:
        """The child of this slot ended, and the end is in its parent's log."""
        self._confirmed.add(slot)

    def tend(self) -> None:
        """Called periodically. Starts a round if there is work and none is under way."""
        if not self._life or (self._task is not None and not self._task.done()):
            return
        looks = not self._has_looked and self._all_run()
        if looks or self._confirmed or self._over():
            self._task = asyncio.get_running_loop().create_task(self._try_work(looks))

    def _over(self) -> list[str]:
        return over_at(self._known.values(), time.time_ns(), self._spec.retain_bytes, self._spec.retain_ns)

    async def _try_work(self, looks: bool) -> None:
        try:
            await self._work(looks)
        except OSError as error:
            self._life = 0
            self._event("logs_kept", "", reason=str(error))

    async def _work(self, looks: bool) -> None:
        from host.live.journal import over
        from host.live.journal.data_folder import JOURNAL, file_name

        journal = os.path.join(self._data, JOURNAL)
        if looks:
            needed = frozenset(map(file_name, self._again))
            self._known |= await asyncio.to_thread(over.closed_before, journal, self._life, needed)
            self._has_looked = True
        confirmed, self._confirmed = self._confirmed, set()
        self._known |= await asyncio.to_thread(over.extents, journal, map(file_name, sorted(confirmed)))
        folders = {name: os.path.join(journal, name) for name in self._over()[:REMOVED_MAX]}
        # the log of a process that is about to exit stays until the next round
        removed = await asyncio.to_thread(lambda: [name for name in folders if over.try_remove(folders[name])])
        for name in removed:
            del self._known[name]
        if removed:
            self._event("logs_removed", "", count=len(removed))
