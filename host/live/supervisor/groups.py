"""Groups of the node file: processes that are started in order, stopped in reverse, and restarted together.

A group carries out one plan at a time (`host.node.strategies`), as a task: stop, pause, start one after the other, each
once the one before is ready. A death on the way makes a new plan, which takes the place of the one under way. So does
giving up. The task owns no state: where a slot stands is in the slot, so dropping it anywhere leaves nothing half done,
and a node that stops drops it first.

A process that is told to leave handles what it has for its shutdown time, and is then killed (`recalled`). One that a
plan before was waiting for is waited for by the next one, with a time of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any, Final

from host.config.spec import SHUTDOWN_NS, GroupSpec
from host.live.supervisor import population
from host.live.supervisor.node import Node
from host.live.supervisor.revival import degrade, finish, relaunch
from host.live.supervisor.slots import Slot
from host.live.wire import Exit
from host.node.strategies import Child, Plan, plan_restart, plan_stop
from host.node.supervision import History, Limits

LEAVE_NS: Final = 500_000_000
"""For a process to be gone after its time to leave, and after a kill."""


class Group:
    """Mutable. `slots` in the order of their engines; `history` is that of the whole group."""

    def __init__(self, spec: GroupSpec, limits: Limits) -> None:
        self.spec = spec
        self.limits = limits
        self.slots: list[int] = []
        self.history = History()
        self._task: asyncio.Task[None] | None = None

    def begin(self, work: Coroutine[Any, Any, None]) -> None:
        """Do this instead of what is under way."""
        self.halt()
        self._task = asyncio.get_running_loop().create_task(work)

    def halt(self) -> None:
        """Do no more. Idempotent."""
        if self._task is not None:
            self._task.cancel()
            self._task = None


def start_all(node: Node) -> None:
    """The first start of all groups, with the node."""
    for group in node.groups.values():
        group.begin(_start_in_order(node, group.slots))


def restart(node: Node, group: Group, failed: Slot, pause_ns: int) -> None:
    """`failed` died and is to be started again, with those whom the strategy names."""
    plan = plan_restart(group.spec.strategy, _children(node, group), failed.number)
    group.begin(_carry_out(node, plan, pause_ns))


def give_up(node: Node, group: Group, reason: str) -> None:
    """Too many restarts: as a supervisor of OTP, the group stops all of its children. Then it is degraded."""
    group.begin(_give_up(node, group, reason))


def _children(node: Node, group: Group) -> tuple[Child, ...]:
    slots = [node.slots[number] for number in group.slots if number in node.slots]
    there = [slot for slot in slots if node.directory.in_slot(slot.number)]
    return tuple(Child(s.number, s.kind, _is_there(node, s), s.state == "restarting") for s in there)


def _is_there(node: Node, slot: Slot) -> bool:
    """Whether it has a process, or a reload is about to give it one."""
    return slot.process is not None or slot.number in node.reloads


async def _carry_out(node: Node, plan: Plan, pause_ns: int) -> None:
    for number in plan.stop:
        await _stop(node, node.slots[number])
    for number in plan.over:
        finish(node, node.slots[number], "its group was restarted")
    await asyncio.sleep(pause_ns / 1e9)
    await _start_in_order(node, plan.start)


async def _give_up(node: Node, group: Group, reason: str) -> None:
    for number in plan_stop(_children(node, group)):
        await _stop(node, node.slots[number])
    for number in group.slots:
        if node.slots[number].state in ("restarting", "finished"):
            degrade(node, node.slots[number], reason)


async def _start_in_order(node: Node, slots: Iterable[int]) -> None:
    for number in slots:
        slot = node.slots[number]
        if slot.state in ("restarting", "degraded", "finished"):
            relaunch(node, slot)
        elif slot.process is None:
            population.launch(node, slot)
        await slot.settled.wait()


async def _stop(node: Node, slot: Slot) -> None:
    """Tell the process of a slot to leave, and see to it that it does: nobody comes after one that is still there."""
    process, reload = slot.process, node.reloads.get(slot.number)
    if reload is not None and process is None:
        reload.fail("its group is restarted")
    elif reload is not None:
        reload.abort("its group is restarted")
    if process is None:
        return
    if slot.state != "recalled":
        slot.move("recall")
    shutdown_ns = shutdown_ns_of(node, slot, SHUTDOWN_NS)
    process.send(Exit(shutdown_ns))
    if not await process.wait(shutdown_ns + LEAVE_NS if shutdown_ns else 0):
        slot.killing = "shutdown"
        process.kill()
        while not await process.wait(LEAVE_NS):
            pass


def shutdown_ns_of(node: Node, slot: Slot, otherwise_ns: int) -> int:
    """The shutdown time of a slot's process: the longest that one of its engines was given."""
    given = [r.spec.child.shutdown_ns for r in node.directory.in_slot(slot.number)]
    return max((ns for ns in given if ns is not None), default=otherwise_ns)
