"""Slots as the supervisor holds them: memory that outlives processes, and the current process. And groups of slots.

The states of a slot and their transitions are defined in `host.node.slot_plan`; only `perform` changes `status` and
`process`. While a reload is under way there is a second process, the candidate; it owns nothing until the first one's
pidfd is readable.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec

from host.config.placement import SlotPlan
from host.config.spec import GroupSpec, SupervisionSpec
from host.live.supervisor.memory import SlotMemory
from host.live.supervisor.processes import Process
from host.node.endings import Kind
from host.node.news import Trigger
from host.node.routing import Resident
from host.node.slot_state import SlotState, State
from host.node.strategies import GroupWork
from host.node.supervision import History


class Alarm:
    """At most one scheduled call; setting another replaces it."""

    def __init__(self) -> None:
        self._handle: asyncio.TimerHandle | None = None

    def set(self, after_ns: int, call: Callable[[], None]) -> None:
        """Schedule `call` instead of any earlier one."""
        self.cancel()
        self._handle = asyncio.get_running_loop().call_later(after_ns / 1e9, call)

    def cancel(self) -> None:
        """Cancel the scheduled call. Idempotent."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None


class Group:
    """Mutable. `slots` are in engine order; `history` is that of the whole group, `work` what is under way."""

    def __init__(self, spec: GroupSpec, node: SupervisionSpec) -> None:
        self.spec = spec
        self.limits = msgspec.structs.replace(node, intensity=spec.intensity, period_ns=spec.period_ns)
        self.slots: list[int] = []
        self.history = History()
        self.work = GroupWork()
        self.timer = Alarm()

    def begin(self, work: GroupWork) -> None:
        """Replace the work under way by this."""
        self.timer.cancel()
        self.work = work


class Slot:
    """One numbered place.

    `share` names the set of engines that share the slot (`share_of`), and their log. `linked` are the slots it has been
    attached to, `left` those of them that are gone, `unready` the engines that are not ready yet.

    `fresh`: its engine was spawned in this life, under a name that no log has. `rests`: why the slot gets no further
    process until a user restarts it: its log is gone, or was damaged at the start. `timer` is that of its state;
    `birth_error` is why the last process could not be created. `fallen`: messages being handled when a process of this
    slot died, oldest first, not yet made dead letters by a successor. `code`: where the versions that its engines run
    are kept, for its next process (`docs/decisions/0023-code-in-force.md`). What is not kept comes from the
    sources below the roots; () is all of it. `holds`: its next process takes no trigger before it is released.
    """

    def __init__(self, plan: SlotPlan, memory: SlotMemory, group: Group | None = None) -> None:
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
        self.fallen: dict[Trigger, str] = {}
        self.linked: set[int] = set()
        self.left: set[int] = set()
        self.unready: set[str] = set()
        self.code: tuple[str, ...] = ()
        self.holds = False

    @property
    def state(self) -> State:
        """The state in `status`."""
        return self.status.state
