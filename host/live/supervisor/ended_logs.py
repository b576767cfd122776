"""Logs of children that are over, for as long as `journal: {retain_bytes, retain_ns}` says; all of them together.

What may be removed: a log that is marked as over, and whose child no parent will spawn again. That is known of a child
that ended in this life once its parent answered behind the news (`farewell`), and of marks of earlier lives once all
slots with a journal run, since each parent tells of the children it has before it is ready. One that does not, because
it is degraded or finished, may have such a parent: then older logs stay. States and crash points:
`host.live.journal.over`.

Files are looked at and removed in a thread, so that the loop does not wait for a disk. What a disk refuses is told once
(`logs_kept`), and tried again by the next life.
"""

from __future__ import annotations

import asyncio
import os
import time
from typing import TYPE_CHECKING, Final

from host.node.journal.retention import Over, over_at

if TYPE_CHECKING:
    from host.live.supervisor.node import Node
    from host.live.supervisor.slots import Slot

REMOVED_MAX: Final = 1_000
"""Logs removed at one go."""


class EndedLogs:
    """Mutable, one a node."""

    def __init__(self, data: str, life: int) -> None:
        """`life` 0: no engine has a journal, and there is nothing to do."""
        self._data = data
        self._life = life
        self._known: dict[str, Over] = {}
        self._confirmed: set[str] = set()
        self._again: set[str] = set()
        self._has_looked = False
        self._task: asyncio.Task[None] | None = None

    def bear_again(self, slot: str) -> None:
        """A parent spawns a child of an earlier process again: the log of its slot is needed."""
        self._again.add(slot)

    def confirm(self, slot: str) -> None:
        """The child whose slot this was is over, and its parent's log knows."""
        self._confirmed.add(slot)

    def tend(self, node: Node) -> None:
        """Called every now and then. Begins what is to be done, unless something is under way."""
        if not self._life or (self._task is not None and not self._task.done()):
            return
        looks = not self._has_looked and node.phase == "running" and _all_run(node)
        if looks or self._confirmed or over_at(self._known.values(), time.time_ns(), *_bounds(node)):
            self._task = asyncio.get_running_loop().create_task(self._try_work(node, looks))

    async def _try_work(self, node: Node, looks: bool) -> None:
        try:
            await self._work(node, looks)
        except OSError as error:
            self._life = 0
            node.event("logs_kept", "", reason=str(error))

    async def _work(self, node: Node, looks: bool) -> None:
        if looks:
            self._known |= await asyncio.to_thread(_look, self._data, self._life, frozenset(self._again))
            self._has_looked = True
        confirmed, self._confirmed = self._confirmed, set()
        self._known |= await asyncio.to_thread(_measure, self._data, confirmed)
        names = over_at(self._known.values(), time.time_ns(), *_bounds(node))[:REMOVED_MAX]
        removed = await asyncio.to_thread(_remove, self._data, names)
        for name in removed:
            del self._known[name]
        if removed:
            node.event("logs_removed", "", count=len(removed))


def _bounds(node: Node) -> tuple[int, int]:
    return node.spec.journal.retain_bytes, node.spec.journal.retain_ns


def _all_run(node: Node) -> bool:
    return all(slot.state == "running" or not _has_journal(node, slot) for slot in node.slots.values())


def _has_journal(node: Node, slot: Slot) -> bool:
    """A child has its parent's durability, so without a journal there is no child with one."""
    return any(resident.spec.durability != "volatile" for resident in node.directory.in_slot(slot.number))


def _look(data: str, life: int, again: frozenset[str]) -> dict[str, Over]:
    """Logs that were over before this life, by folder; what a life before was removing is removed."""
    from host.live.journal.data_folder import JOURNAL, slot_name
    from host.live.journal.over import finish_removals, life_of

    folder = os.path.join(data, JOURNAL)
    finish_removals(folder)
    found = [entry.name for entry in os.scandir(folder) if entry.is_dir() and slot_name(entry.name) not in again]
    marked = {name: life_of(os.path.join(folder, name)) for name in found}
    return _extents(folder, [name for name, by in marked.items() if by is not None and by < life])


def _measure(data: str, slots: set[str]) -> dict[str, Over]:
    from host.live.journal.data_folder import JOURNAL, file_name
    from host.live.journal.over import is_over

    folder = os.path.join(data, JOURNAL)
    names = [file_name(slot) for slot in sorted(slots)]
    return _extents(folder, [name for name in names if is_over(os.path.join(folder, name))])


def _extents(folder: str, names: list[str]) -> dict[str, Over]:
    from host.live.journal.over import extent

    return {name: Over(name, *extent(os.path.join(folder, name))) for name in names}


def _remove(data: str, names: list[str]) -> list[str]:
    """Those that are gone; a process that is about to leave keeps its log until the next time."""
    from host.live.journal.data_folder import JOURNAL
    from host.live.journal.over import try_remove

    return [name for name in names if try_remove(os.path.join(data, JOURNAL, name))]
