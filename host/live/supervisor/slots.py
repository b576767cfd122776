"""A slot as the supervisor holds it: memory that outlives processes, and the process in it now; and groups of slots.

Where a slot stands, and what may happen to it, is `host.node.slot_plan`'s; `perform` alone changes `status` and
`process`. While a reload is under way there is a second process, the candidate; it owns nothing until the first one's
pidfd is readable.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

import msgspec

from host.config.placement import SlotPlan
from host.config.spec import GroupSpec
from host.live.supervisor.processes import Process
from host.live.wire import InFlight
from host.node.endings import Kind
from host.node.group_plan import GroupWork
from host.node.routing import Resident
from host.node.slot_state import SlotState, State
from host.node.supervision import History, Limits


class StuckProcess(msgspec.Struct, frozen=True):
    """Where a process stands: the engine in flight (""; none), its message (None: timers), and its stack as text."""

    engine: str = ""
    in_flight: InFlight | None = None
    stack: str = ""


class Memory(Protocol):
    """What a slot owns beyond its processes. Lanes and ZeroMQ differ; see `host.live.supervisor.memory`."""

    address: str
    """Where a ZeroMQ peer connects to; empty with lanes."""

    def own_descriptors(self) -> list[int]:
        """For the process in the slot, as `Boot` says. They stay ours."""

    def peer_descriptors(self) -> list[int]:
        """For a process that links with the slot, as `Peer` says. They stay ours."""

    def in_flight(self) -> InFlight | None:
        """The message a process that died was handling, from the control page."""

    def moves(self) -> tuple[int, ...]:
        """The words of the control page, in the order of `host.node.progress`."""

    def stuck_at(self) -> StuckProcess:
        """Where the process stands now, and what `dump_stack` brought."""

    def dump_stack(self, pid: int) -> None:
        """Have the process write its stack beside the page, whatever it is at; `stuck_at` reads it a moment later."""

    def close(self) -> None:
        """Give the memory back. Idempotent."""


class Alarm:
    """At most one call that is due; the next one set takes its place."""

    def __init__(self) -> None:
        self._handle: asyncio.TimerHandle | None = None

    def set(self, after_ns: int, call: Callable[[], None]) -> None:
        """Call that after so long, and nothing else."""
        self.cancel()
        self._handle = asyncio.get_running_loop().call_later(after_ns / 1e9, call)

    def cancel(self) -> None:
        """Call nothing. Idempotent."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None


class Group:
    """Mutable. `slots` in the order of their engines; `history` is that of the whole group, `work` what it is at."""

    def __init__(self, spec: GroupSpec, limits: Limits) -> None:
        self.spec = spec
        self.limits = limits
        self.slots: list[int] = []
        self.history = History()
        self.work = GroupWork()
        self.timer = Alarm()

    def begin(self, work: GroupWork) -> None:
        """This instead of what is under way."""
        self.timer.cancel()
        self.work = work


class Slot:
    """One numbered place.

    `share` is what its engines have in common, and the name of its log. `linked` are the slots it has been attached
    to, `left` those of them that are gone, `unready` the engines it still waits for.

    `fresh`: its engine was spawned in this life, under a name that no log has. `rests`: why no process comes after this
    one until somebody asks for it, because its log is gone, or was damaged at the start. `timer` is that of its state,
    and `birth_error` why the last process could not be had. `fallen`: messages being handled when a process of this
    slot died, oldest first, not yet made dead letters by a successor.
    """

    def __init__(self, plan: SlotPlan, memory: Memory, group: Group | None = None) -> None:
        self.number = plan.slot
        self.device = plan.device
        self.core = plan.core
        self.share = ""
        self.memory = memory
        self.spawned = False
        self.fresh = False
        self.status = SlotState(strategy=None if group is None else group.spec.strategy)
        self.timer = Alarm()
        self.process: Process | None = None
        self.birth_error: Exception | None = None
        self.last: Resident | None = None
        self.history = History()
        self.group = group
        self.kind: Kind = "permanent"
        self.rests = ""
        self.epoch = 0
        self.restarts = 0
        self.fallen: dict[InFlight, None] = {}
        self.linked: set[int] = set()
        self.left: set[int] = set()
        self.unready: set[str] = set()

    @property
    def state(self) -> State:
        """That of `status`."""
        return self.status.state
