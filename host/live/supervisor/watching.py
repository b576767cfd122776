"""The watchdog: reads every control page periodically, and acts on processes that are stuck.

A process that is stuck (`host.node.watchdog`) for the soft deadline is asked for its stack by a signal, whose handler
needs neither the interpreter's lock nor the loop of the worker; the stack goes into `events`. At the hard deadline the
process is killed, and ends as `hung`. A stopped process is killed too, but can show no stack; a process under a
debugger is left alone. A process that is not ready after the start deadline is killed and ends as `start_timeout`.

The condition of a pure engine's process shows in its page and, if that stands still, in its state in the kernel. A
driver blocks in its own ways, so a device's process is sent a query; without an answer before the next look it counts
as deaf from then on.

A process that hands over in a reload, or begins after it, is left to the deadlines of the reload: it computes in
proportion to its engines' state, and a reload that is given up must find the old process alive.

Detection takes at most one look longer than the deadline. Nothing here waits for a worker.
"""

from __future__ import annotations

import asyncio
import time
from typing import Final

from host.config.spec import SupervisionSpec
from host.live.process_stat import state_of
from host.live.supervisor.memory_kills import MemoryKills
from host.live.supervisor.node import Node
from host.live.supervisor.perform import feed
from host.live.supervisor.processes import Process
from host.live.supervisor.slots import Slot
from host.node.progress import CYCLES, N
from host.node.watchdog import LOOK_NS_MAX, Condition, Look, Watch

LOOK_NS_MIN: Final = 5_000_000

DUMP_S: Final = 0.1
"""How long a handler may take to write its stack."""

STACK_CHARS_MAX: Final = 8_000


class _Watched:
    """One process under watch."""

    def __init__(self, process: Process, deadlines: SupervisionSpec) -> None:
        self.process = process
        self.watch = Watch(deadlines)
        self.starting_ns = 0
        self.ping: asyncio.Task[object] | None = None


class Watching:
    """The watch over a node; `run` is a task for its whole life."""

    def __init__(self, node: Node, spec: SupervisionSpec, memory_kills: MemoryKills) -> None:
        self._node = node
        self._deadlines = spec
        shortest = min((ns // 4 for ns in (spec.soft_ns, spec.hard_ns, spec.start_ns) if ns), default=LOOK_NS_MAX)
        self._every_ns = max(LOOK_NS_MIN, min(LOOK_NS_MAX, shortest))
        self._memory_kills = memory_kills
        self._watched: dict[int, _Watched] = {}

    async def run(self) -> None:
        """Look, until cancelled."""
        last_ns = time.monotonic_ns()
        while True:
            await asyncio.sleep(self._every_ns / 1e9)
            now_ns = time.monotonic_ns()
            self._memory_kills.look()
            self._node.control_groups.look()
            for slot in tuple(self._node.slots.values()):
                self._look(slot, now_ns - last_ns)
            last_ns = now_ns

    def _look(self, slot: Slot, passed_ns: int) -> None:
        process = slot.process
        reload = self._node.reloads.get(slot.number)
        if process is None or (reload is not None and reload.is_handing_over):
            self._watched.pop(slot.number, None)
            return
        watched = self._watched.get(slot.number)
        if watched is None or watched.process is not process:
            watched = self._watched[slot.number] = _Watched(process, self._deadlines)
        if slot.state == "starting":
            self._look_at_start(slot, watched, passed_ns)
        else:
            self._look_at_page(slot, watched, passed_ns)

    def _look_at_start(self, slot: Slot, watched: _Watched, passed_ns: int) -> None:
        watched.starting_ns += min(passed_ns, LOOK_NS_MAX)
        if 0 < self._deadlines.start_ns <= watched.starting_ns and not slot.status.killing:
            self._node.event("start_timeout", _first(self._node, slot), slot=slot.number, pid=watched.process.pid)
            feed(self._node, slot, "start_timeout")

    def _look_at_page(self, slot: Slot, watched: _Watched, passed_ns: int) -> None:
        words = slot.memory.moves()
        cycles, moves = words[CYCLES], words[:CYCLES] + words[CYCLES + 1 :]
        condition: Condition = "handling" if words[N] else "waiting"
        last = watched.watch.last
        if last is not None and moves == last.moves:
            condition = self._condition(slot, watched, condition)
        elif last is not None and cycles == last.cycles:
            condition = "handling"
        match watched.watch.look(Look(moves, condition, cycles), passed_ns):
            case "soft":
                slot.memory.dump_stack(watched.process.pid)
                stuck_ns = watched.watch.stuck_ns
                asyncio.get_running_loop().call_later(DUMP_S, self._tell, "stuck", slot, watched, condition, stuck_ns)
            case "hard":
                self._tell("hung", slot, watched, condition, watched.watch.stuck_ns)
                feed(self._node, slot, "hung")

    def _condition(self, slot: Slot, watched: _Watched, by_page: Condition) -> Condition:
        """The condition of a process whose page stands still."""
        state = state_of(watched.process.pid)
        if state == "t":
            return "waiting"
        if state == "T":
            return "stopped"
        if by_page == "handling":
            return by_page
        if state in ("R", "D"):
            return "computing"
        return self._ping(slot, watched) if slot.device else "waiting"

    def _ping(self, slot: Slot, watched: _Watched) -> Condition:
        if watched.ping is not None and not watched.ping.done():
            return "deaf"
        timeout_ns = self._deadlines.hard_ns or self._deadlines.soft_ns or LOOK_NS_MAX
        asking = self._node.queries.ask(watched.process, "stats", _first(self._node, slot), 2 * timeout_ns)
        watched.ping = asyncio.get_running_loop().create_task(asking)
        return "waiting"

    def _tell(self, kind: str, slot: Slot, watched: _Watched, condition: Condition, stuck_ns: int) -> None:
        if slot.process is not watched.process:
            return
        at = slot.memory.reading()
        message = at.in_flight
        where = {} if message is None else {"sender": message.sender, "mailbox": message.mailbox, "n": message.n}
        stack = slot.memory.stack()[-STACK_CHARS_MAX:] if kind == "stuck" else ""
        facts = {"slot": slot.number, "pid": watched.process.pid, "condition": condition, "stuck_ns": stuck_ns}
        self._node.event(kind, at.engine or _first(self._node, slot), **facts, **where, stack=stack)


def _first(node: Node, slot: Slot) -> str:
    """The engine that represents a slot in events."""
    return next((resident.name for resident in node.directory.in_slot(slot.number)), "")
