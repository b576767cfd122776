"""The node as its supervisor holds it: all state in one place, with the smallest operations on it.

The code that changes this state lives elsewhere, one file a subject: `perform` (a slot gets, keeps or loses its
process), `population` (slots and processes are created), `deaths` (what an end means for engines and messages), `links`
(names resolve to slots), `reload` (a process is replaced), `sessions` (messages from outside), `desk` (dispatches
packets). All of it runs in one thread, in the event loop, and no step of it waits.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol

from host.config.spec import NodeSpec
from host.live.supervisor.control_groups import ControlGroups
from host.live.supervisor.ended_logs import EndedLogs
from host.live.supervisor.memory import SlotTransport
from host.live.supervisor.memory_kills import MemoryKills
from host.live.supervisor.nursery import Nursery
from host.live.supervisor.processes import Process, Reaper
from host.live.supervisor.quarantine import Quarantine
from host.live.supervisor.queries import Queries
from host.live.supervisor.records import Record
from host.live.supervisor.serving.rates import Rates
from host.live.supervisor.slots import Group, Slot
from host.live.wire import Running, ToSupervisor
from host.node.dead_letters import DeadLetters
from host.node.news import Packet, Waits
from host.node.routing import Directory
from host.node.slot_state import Conclude, ReloadDeed
from host.node.supervision import Budget, Ending

if TYPE_CHECKING:
    from host.live.supervisor.serving.sessions import Sessions

SLOT_SUPERVISOR: Final = 0
"""The slot that sessions send from."""

Phase = Literal["starting", "running", "stopping"]


class Replacement(Protocol):
    """A reload under way, as `perform` sees it: the candidate, and the commands that concern only the reload."""

    candidate: Process

    @property
    def is_handing_over(self) -> bool:
        """Whether the slot's process hands over, stands still, or begins: only the reload's deadlines bound that."""

    def account_of(self, ending: Ending) -> str:
        """How the candidate ended, and in which engine."""

    def take(self, process: Process, packet: ToSupervisor, descriptors: list[int]) -> bool:
        """Whether the packet was for the reload; otherwise it is handled as usual."""

    def perform(self, command: ReloadDeed | Conclude) -> None:
        """Perform a command of `host.node.slot_plan`."""


class Together(Protocol):
    """A joint reload under way, as `perform` sees it."""

    def carry_on(self) -> None:
        """Do all that can be done now: a member's slot has changed."""


class OnProbation(Protocol):
    """A probation under way, as others see it."""

    @property
    def account(self) -> str:
        """Where it stands, as the end of a sentence about its engine."""

    def failed(self, engine: str, detail: str) -> None:
        """A trigger failed in the slot's process."""

    def ended(self, how: str) -> None:
        """The slot's process ended, and another one may follow."""

    def ready(self) -> None:
        """The slot's process has its engines."""

    def recalled(self) -> None:
        """The slot's group took its process away."""

    def drop(self) -> None:
        """Nothing follows any more."""


@dataclass(kw_only=True)
class Node:
    """All state of the supervisor, in the loop's thread: facts, then the roster, then news.

    Facts never change once the node starts; the objects among them keep their own state. The roster holds engines,
    slots and what runs: `perform` writes it, with `population` and `links`. News is what workers reported: `desk` and
    `deaths` write it.
    """

    spec: NodeSpec
    data: str
    offset_ns: int
    """Added to CLOCK_BOOTTIME gives engine time."""
    now_ns: Callable[[], int]
    started_ns: int
    epoch: int = 0
    """Below every epoch of this life of the node, above those of earlier ones; 0 where no engine has a journal."""
    nursery: Nursery
    reaper: Reaper
    transport: SlotTransport
    memory_kills: MemoryKills
    control_groups: ControlGroups = field(init=False)
    ended_logs: EndedLogs = field(init=False)
    on_packet: Callable[[Slot, Process, ToSupervisor, list[int]], None] = field(init=False)
    """Takes a packet of a process; its descriptors are closed after the call."""
    on_end: Callable[[Slot, Process, Ending], None] = field(init=False)
    sessions: Sessions = field(init=False)

    phase: Phase = "starting"
    directory: Directory = field(default_factory=Directory)
    slots: dict[int, Slot] = field(default_factory=dict)
    groups: dict[str, Group] = field(default_factory=dict)
    reloads: dict[int, Replacement] = field(default_factory=dict)
    joints: dict[int, Together] = field(default_factory=dict)
    """By the slots of the members."""
    probations: dict[int, OnProbation] = field(default_factory=dict)
    budget: Budget = field(default_factory=Budget)
    tasks: set[asyncio.Task[None]] = field(default_factory=set)
    """Those of `run_aside`, which nothing else refers to."""
    settled: asyncio.Event = field(default_factory=asyncio.Event)

    events: Record
    logs: Record
    quarantine: Quarantine
    running: dict[str, Running] = field(default_factory=dict)
    interfaces: dict[tuple[str, str], Any] = field(default_factory=dict)
    """By family and version: thousands of engines of one family share one interface."""
    faults: dict[str, str] = field(default_factory=dict)
    diverged: dict[str, str] = field(default_factory=dict)
    """Engines whose recovery reached another state than their log records, and how."""
    waits: dict[str, Waits] = field(default_factory=dict)
    letters: DeadLetters = field(default_factory=DeadLetters)
    queries: Queries = field(default_factory=Queries)
    rates: Rates = field(default_factory=Rates)
    on_ready: Callable[[str, int], None] = lambda engine, pid: None
    on_fault: Callable[[str, str, str], None] = lambda engine, reason, detail: None

    def described(self, families: Iterable[str]) -> tuple[tuple[str, str], ...]:
        """The keys of `interfaces` for these families."""
        wanted = frozenset(families)
        return tuple(key for key in self.interfaces if key[0] in wanted)

    def event(self, kind: str, engine: str = "", **fields: Any) -> None:
        """Record an event, stamped now."""
        self.events.append([{"time": self.now_ns(), "kind": kind, "engine": engine, **fields}])

    def tell(self, slot: int, packet: Packet, *descriptors: int) -> None:
        """Send to the process in a slot, if there is one; a later process is sent everything at its birth."""
        there = self.slots.get(slot)
        if there is not None and there.process is not None:
            there.process.send(packet, *descriptors)

    def run_aside(self, work: Coroutine[Any, Any, None]) -> None:
        """Run what waits for others: a lookup, a farewell, the start of a child."""
        task = asyncio.get_running_loop().create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    def shutdown_ns(self, slot: Slot, otherwise_ns: int) -> int:
        """The shutdown time of a slot's process: the longest of its engines'."""
        given = [resident.spec.child.shutdown_ns for resident in self.directory.in_slot(slot.number)]
        return max((ns for ns in given if ns is not None), default=otherwise_ns)

    def all_journals_run(self) -> bool:
        """Whether the node is up and all slots with a journal run. A child has a journal only if its parent has one."""
        journaled = {resident.slot for resident in self.directory if resident.spec.durability != "volatile"}
        return self.phase == "running" and all(self.slots[slot].state == "running" for slot in journaled)

    def check_settled(self) -> None:
        """Let the start of the node continue once no slot is starting any more."""
        if all(slot.state != "starting" for slot in self.slots.values()):
            self.settled.set()
