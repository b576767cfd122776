"""The end of a node: workers are told to leave, and who is still there after the deadline is killed.

A slot that waits for its next process is stopped first, so none is born on the way. A candidate of a reload just goes;
who owns its slot is told like the others.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Sequence
from typing import Final

from host.live.supervisor.node import Node
from host.live.supervisor.processes import Process
from host.live.wire import Exit

KILL_NS: Final = 1_000_000_000
"""After the drain, and for a killed process to be gone."""


async def shut_down(node: Node, drain_ns: int, kill: asyncio.Event) -> None:
    """End everything: workers handle what they have for at most `drain_ns`; `kill` ends that at once."""
    node.phase = "stopping"
    for reload in tuple(node.reloads.values()):
        reload.abort("the node stops")
    processes = [slot.process for slot in node.slots.values() if slot.process is not None]
    for slot in node.slots.values():
        if slot.state != "failed":
            slot.move("stop")
    for process in processes:
        process.send(Exit(drain_ns))
    await _wait_all(processes, drain_ns + KILL_NS, kill)
    for process in processes:
        if process.is_alive:
            process.kill()
    await _wait_all(processes, KILL_NS, asyncio.Event())
    node.event("down", "", pid=os.getpid())
    _give_back(node)


def _give_back(node: Node) -> None:
    node.nursery.close()
    for slot in node.slots.values():
        slot.memory.close()
    node.sessions.close()
    node.events.close()
    node.logs.close()


async def _wait_all(processes: Sequence[Process], timeout_ns: int, kill: asyncio.Event) -> None:
    """Until all have ended, the time is up, or `kill` is set."""
    if not processes:
        return
    ends = asyncio.gather(*(process.wait(timeout_ns) for process in processes))
    killed = asyncio.ensure_future(kill.wait())
    await asyncio.wait((ends, killed), return_when=asyncio.FIRST_COMPLETED)
    for task in (ends, killed):
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
