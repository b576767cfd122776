"""Dissolves the slot of a spawned engine once no process can send to it any more.

1. the engine ended: its peers were notified that its name has no slot any more (`links.tell_gone`);
2. each process linked with the slot gets a query behind that news. Its answer confirms that it has the news, and that
   what it sent before lies in its lane. A process that is stuck or stopped is waited for as long as it lives. The
   successor of a process that died never had the name, or learns that it ended;
3. the slot's process turns what lies in its lanes into dead letters, and exits; the supervisor frees number and memory;
4. a parent with a journal gets the news of the end once more, followed by a query: its answer confirms that the end is
   in its log. From then on the slot's log is not needed. If the parent dies instead, its successor gets the news, and
   the log stays until the next life.

The awkward case is a peer that is linked while others are waited for, because it looked up the name before the engine
ended: the next round queries it.
"""

from __future__ import annotations

import asyncio
from typing import Final

from host.live.supervisor.deaths import tell_parent
from host.live.supervisor.node import SLOT_SUPERVISOR, Node
from host.live.supervisor.processes import Process
from host.live.supervisor.slots import Slot
from host.live.wire import Exit
from host.node.routing import Resident

ANSWER_NS: Final = 3_600_000_000_000
"""After this time a peer that did not answer is queried again."""

FAREWELL_NS: Final = 200_000_000
"""For the exiting process to turn what lies in its lanes into dead letters."""


async def take_leave(node: Node, slot: Slot, process: Process, last: Resident) -> None:
    """Ask `process` to exit, once its slot's last engine has ended and no process sends to the slot any more."""
    confirmed: set[Process] = set()
    while asked := _peers(node, slot) - confirmed:
        answers = await asyncio.gather(*(node.queries.ask(peer, "stats", last.name, ANSWER_NS) for peer in asked))
        confirmed |= {peer for peer, answer in zip(asked, answers, strict=True) if answer is not None}
    process.send(Exit(FAREWELL_NS))
    if last.spec.durability != "volatile" and await _parent_knows(node, last):
        node.ended_logs.confirm(slot.share)


async def _parent_knows(node: Node, child: Resident) -> bool:
    """Whether the end of `child` is in its parent's log. The parent answers only after its writes."""
    parent = tell_parent(node, child)
    return parent is not None and await node.queries.ask(parent, "stats", child.parent or "", ANSWER_NS) is not None


def _peers(node: Node, slot: Slot) -> set[Process]:
    """Processes that may still send to the slot."""
    linked = (node.slots[number].process for number in slot.linked - {SLOT_SUPERVISOR})
    return {process for process in linked if process is not None and process.is_alive}
