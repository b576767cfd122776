"""Shuts a node down: workers are asked to exit, and those still alive after the deadline are killed.

The processes of a group exit one after the other, the last one first, each within its shutdown time; all others at
once.

A slot that waits for its next process is stopped first, so none is born meanwhile. The candidate of a reload is killed;
the owner of its slot is asked to exit like the others. Programs that families left behind are killed last.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Coroutine, Sequence
from typing import Any, Final

from host.live.supervisor.node import Node
from host.live.supervisor.orphans import end_children
from host.live.supervisor.perform import feed
from host.live.supervisor.slots import Slot
from host.live.wire import Exit
from host.node.strategies import GroupWork

KILL_NS: Final = 1_000_000_000
"""Grace after the drain, and time for a killed process to end."""


async def shut_down(node: Node, drain_ns: int, kill: asyncio.Event) -> None:
    """End everything: workers drain for at most `drain_ns`; setting `kill` cuts that short."""
    node.phase = "stopping"
    for group in node.groups.values():
        group.begin(GroupWork())
    processes = [slot.process for slot in node.slots.values() if slot.process is not None]
    killed: list[str] = []
    for slot in node.slots.values():
        feed(node, slot, "node_stops")
    await _or_kill([_leave_in_turn(node, chain, drain_ns, killed) for chain in _chains(node)], kill)
    for slot in node.slots.values():
        _kill(node, slot, killed)
    await _or_kill([process.wait(KILL_NS) for process in processes], asyncio.Event())
    node.event("down", "", pid=os.getpid(), killed=killed)
    node.nursery.close()
    await end_children(node.reaper.collect)
    node.control_groups.close()
    _give_back(node)


def _give_back(node: Node) -> None:
    for slot in node.slots.values():
        slot.memory.close()
    node.sessions.close()
    node.events.close()
    node.logs.close()
    node.quarantine.close()


def _chains(node: Node) -> list[list[Slot]]:
    """Slots that exit one after the other: those of a group, the last one first; each other slot is alone."""
    alone = [[slot] for slot in node.slots.values() if slot.group is None]
    return alone + [[node.slots[number] for number in reversed(group.slots)] for group in node.groups.values()]


def _kill(node: Node, slot: Slot, killed: list[str]) -> None:
    """Kill a process that did not exit, and note its engines."""
    if slot.process is not None and slot.process.is_alive:
        slot.process.kill()
        killed += [resident.name for resident in node.directory.in_slot(slot.number)]


async def _leave_in_turn(node: Node, chain: Sequence[Slot], drain_ns: int, killed: list[str]) -> None:
    for slot in chain:
        process = slot.process
        if process is not None:
            leave_ns = min(drain_ns, node.shutdown_ns(slot, drain_ns))
            process.send(Exit(leave_ns))
            if not await process.wait(leave_ns + KILL_NS):
                _kill(node, slot, killed)


async def _or_kill(works: Sequence[Coroutine[Any, Any, object]], kill: asyncio.Event) -> None:
    """Wait until all is done, or `kill` is set."""
    ends = asyncio.gather(*works)
    killed = asyncio.ensure_future(kill.wait())
    await asyncio.wait((ends, killed), return_when=asyncio.FIRST_COMPLETED)
    for task in (ends, killed):
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
