"""The end of a slot that was made for a spawned engine, once nobody can send to it any more.

1. the engine ended: its peers were told that the name has no slot any more (`links.tell_gone`);
2. each process that is linked with the slot is asked something, behind that news: its answer says that it took the
   news, and that what it sent before lies in its lane. One that is stuck or stopped is waited for, as long as it is
   there; one that ended is followed by another, which never heard of the name, or hears that it ended;
3. the slot's process makes dead letters of what lies in its lanes, and leaves; the supervisor frees number and memory;
4. a parent with a journal is told of the end once more and asked: its answer says that its log knows. Then nobody needs
   the slot's log any more. A parent that ends instead is followed by a process that is told anew, for the next life.

The awkward case is a peer that is linked while others are waited for, because it asked for the name before the engine
ended: it is asked in the next round.
"""

from __future__ import annotations

import asyncio
from typing import Final

from host.live.supervisor.node import SLOT_SUPERVISOR, Node
from host.live.supervisor.processes import Process
from host.live.supervisor.slots import Slot
from host.live.wire import ChildEnded, Exit
from host.node.routing import Missing, Resident

ANSWER_NS: Final = 3_600_000_000_000
"""After which a peer that did not answer is asked again."""

FAREWELL_NS: Final = 200_000_000
"""For the process that leaves to make dead letters of what lies in its lanes."""


async def take_leave(node: Node, slot: Slot, process: Process, last: Resident) -> None:
    """Have `process` leave a slot whose last engine ended, as soon as nobody sends to it any more."""
    confirmed: set[Process] = set()
    while asked := _peers(node, slot) - confirmed:
        answers = await asyncio.gather(*(node.queries.ask(peer, "stats", last.name, ANSWER_NS) for peer in asked))
        confirmed |= {peer for peer, answer in zip(asked, answers, strict=True) if answer is not None}
    process.send(Exit(FAREWELL_NS))
    if last.spec.durability != "volatile" and await _parent_knows(node, last):
        node.ended_logs.confirm(slot.share)


async def _parent_knows(node: Node, child: Resident) -> bool:
    """Whether the end of `child` is in the log of its parent, which answers behind its writes."""
    parent = Missing("unknown") if child.parent is None else node.directory.find(child.parent)
    slot = None if isinstance(parent, Missing) else node.slots.get(parent.slot)
    if isinstance(parent, Missing) or slot is None or slot.process is None or not slot.process.is_alive:
        return False
    slot.process.send(ChildEnded(parent.name, child.name))
    return await node.queries.ask(slot.process, "stats", parent.name, ANSWER_NS) is not None


def _peers(node: Node, slot: Slot) -> set[Process]:
    """Processes that may still send to the slot."""
    linked = (node.slots[number].process for number in slot.linked - {SLOT_SUPERVISOR})
    return {process for process in linked if process is not None and process.is_alive}
