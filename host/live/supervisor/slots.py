"""A slot as the supervisor holds it: memory that outlives processes, the process in it now, and where it stands.

The states and what moves between them; a pair that is not in the table is a mistake of ours and raises:

    starting ──ready──▶ running ──freeze──▶ freezing ──thaw / took_over──▶ running
        │                  │                    │
        └──────────────────┴──────ended─────────┴──▶ restarting ──launch──▶ starting
                                                         │
        any but failed ──stop──▶ stopping                └──give_up──▶ failed

The process belongs to `starting`, `running`, `freezing`, `stopping`; in `restarting` and `failed` there is none.
While a reload is under way there is a second process, the candidate; it owns nothing until the first one's pidfd is
readable.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, Protocol

from host.live.supervisor.processes import Process
from host.live.wire import InFlight
from host.node.placement import SlotPlan
from host.node.supervision import History

State = Literal["starting", "running", "freezing", "restarting", "failed", "stopping"]
Move = Literal["ready", "freeze", "thaw", "took_over", "ended", "launch", "give_up", "stop"]

TABLE: Final[Mapping[tuple[State, Move], State]] = {
    ("starting", "ready"): "running",
    ("starting", "ended"): "restarting",
    ("starting", "stop"): "stopping",
    ("running", "ready"): "running",
    ("running", "freeze"): "freezing",
    ("running", "ended"): "restarting",
    ("running", "stop"): "stopping",
    ("freezing", "thaw"): "running",
    ("freezing", "took_over"): "running",
    ("freezing", "ended"): "restarting",
    ("freezing", "stop"): "stopping",
    ("restarting", "launch"): "starting",
    ("restarting", "give_up"): "failed",
    ("restarting", "stop"): "stopping",
    ("failed", "stop"): "stopping",
    ("stopping", "stop"): "stopping",
}


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

    def close(self) -> None:
        """Give the memory back. Idempotent."""


class Slot:
    """One numbered place. `linked` are the slots it has been attached to, `unready` the engines it still waits for."""

    def __init__(self, plan: SlotPlan, memory: Memory, *, spawned: bool = False) -> None:
        self.number = plan.slot
        self.device = plan.device
        self.core = plan.core
        self.memory = memory
        self.spawned = spawned
        self.state: State = "starting"
        self.process: Process | None = None
        self.history = History()
        self.epoch = 0
        self.restarts = 0
        self.in_flight: InFlight | None = None
        self.linked: set[int] = set()
        self.unready: set[str] = set()

    def move(self, move: Move) -> None:
        """Go where the table says."""
        self.state = TABLE[self.state, move]
