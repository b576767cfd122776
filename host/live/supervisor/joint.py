"""Reloads of several slots at one boundary: feeds the members what `host.node.joint_plan` decides.

Each member is a `Reload` of its slot. They are compared with each other once all have imported, in their new versions.
`perform.feed` has the joint reload carry on after whatever happened to a member.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

from host.live.supervisor.node import Node
from host.live.supervisor.perform import feed
from host.live.supervisor.reload import Reload, ReloadOrder
from host.live.supervisor.slots import Slot
from host.node.joint_plan import JointState, concluded, next_task
from host.node.reload_plan import NewFailed
from host.node.slot_state import Conclude
from transport.port import Closed


class JointMember(NamedTuple):
    """An engine that is reloaded, in its slot."""

    slot: Slot
    name: str
    family: str


class JointReload:
    """From the births of the candidates to the last verdict. A slot is a member once, whoever of it was named."""

    def __init__(self, node: Node, members: Sequence[JointMember], order: ReloadOrder) -> None:
        self.state = JointState(tuple(member.slot.number for member in members))
        self.reloads: dict[int, Reload] = {}
        self._node = node
        self._names = {member.slot.number: member.name for member in members}
        node.joints.update(dict.fromkeys(self._names, self))
        for slot, name, family in members:
            if self.state.failed:
                break
            try:
                reload = self.reloads[slot.number] = Reload(node, slot, name, family, order, self)
                if not reload.keeps_code_before:
                    feed(node, slot, NewFailed("its code cannot be kept"))
            except (OSError, Closed) as error:
                self._give_up(slot, Conclude("refused", f"no process: {error}"))
        for number in self._names.keys() - self.reloads.keys():
            node.joints.pop(number)

    async def ended(self) -> dict[str, tuple[Reload, Conclude]]:
        """The verdicts, by engine; those that never began are left out."""
        await asyncio.gather(*(reload.done for reload in self.reloads.values()))
        return {self._names[number]: (reload, reload.done.result()) for number, reload in self.reloads.items()}

    def learned(self) -> None:
        """Compare all interfaces, once all are known."""
        reloads = list(self.reloads.values())
        if len(reloads) == len(self._names) and all(reload.has_learned for reload in reloads):
            instead = {name: one for reload in reloads for name, one in reload.interfaces().items()}
            for reload in reloads:
                reload.compare(instead)

    def concluded(self, slot: Slot, outcome: Conclude) -> None:
        """The reload of a member ended: without a decision it is over for all."""
        self._node.joints.pop(slot.number, None)
        self._give_up(slot, outcome)

    def carry_on(self) -> None:
        """Feed the members all that can be decided now."""
        while True:
            slots = {number: slot.status for number in self._names if (slot := self._node.slots.get(number))}
            self.state, task = next_task(self.state, slots)
            if task is None:
                return
            feed(self._node, self._node.slots[task[0]], task[1])

    def _give_up(self, slot: Slot, outcome: Conclude) -> None:
        self.state = concluded(self.state, self._names[slot.number], outcome.verdict, outcome.reason)
        self.carry_on()
