"""A slot as the supervisor holds it: memory that outlives processes, the process in it now, and where it stands.

The states and what moves between them; a pair that is not in the table is a mistake of ours and raises:

    starting ──ready──▶ running ──freeze──▶ freezing ──thaw / took_over──▶ running
        │                  │                    │
        ├──────────────────┴──────ended─────────┴──▶ restarting ──launch──▶ starting
        │                                                │  ▲
        └ and running, freezing ──recall──▶ recalled ──ended┘
                                                         ├──give_up──▶ degraded ──launch──▶ starting
                                                         └──finish───▶ finished ──launch──▶ starting
        any ──stop──▶ stopping

The process belongs to `starting`, `running`, `freezing`, `recalled`, `stopping`; in the others there is none.
`recalled`: told to leave because a sibling of its group died. `degraded`: it died too often. `finished`: its end asked
for no restart.
While a reload is under way there is a second process, the candidate; it owns nothing until the first one's pidfd is
readable.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, Literal, Protocol

import msgspec

from host.live.supervisor.processes import Process
from host.live.wire import InFlight
from host.node.endings import Kind, Ours
from host.node.placement import SlotPlan
from host.node.supervision import History

if TYPE_CHECKING:
    from host.live.supervisor.groups import Group

State = Literal["starting", "running", "freezing", "recalled", "restarting", "degraded", "finished", "stopping"]
Move = Literal["ready", "freeze", "thaw", "took_over", "recall", "ended", "launch", "give_up", "finish", "stop"]

TABLE: Final[Mapping[tuple[State, Move], State]] = {
    ("starting", "ready"): "running",
    ("starting", "recall"): "recalled",
    ("starting", "ended"): "restarting",
    ("starting", "stop"): "stopping",
    ("running", "ready"): "running",
    ("running", "freeze"): "freezing",
    ("running", "recall"): "recalled",
    ("running", "ended"): "restarting",
    ("running", "stop"): "stopping",
    ("freezing", "thaw"): "running",
    ("freezing", "took_over"): "running",
    ("freezing", "recall"): "recalled",
    ("freezing", "ended"): "restarting",
    ("freezing", "stop"): "stopping",
    ("recalled", "ended"): "restarting",
    ("recalled", "stop"): "stopping",
    ("restarting", "launch"): "starting",
    ("restarting", "give_up"): "degraded",
    ("restarting", "finish"): "finished",
    ("restarting", "stop"): "stopping",
    ("degraded", "launch"): "starting",
    ("degraded", "stop"): "stopping",
    ("finished", "launch"): "starting",
    ("finished", "give_up"): "degraded",
    ("finished", "stop"): "stopping",
    ("stopping", "stop"): "stopping",
}


class Stuck(msgspec.Struct, frozen=True):
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

    def stuck_at(self) -> Stuck:
        """Where the process stands now, and what `dump_stack` brought."""

    def dump_stack(self, pid: int) -> None:
        """Have the process write its stack beside the page, whatever it is at; `stuck_at` reads it a moment later."""

    def close(self) -> None:
        """Give the memory back. Idempotent."""


class Slot:
    """One numbered place.

    `share` is what its engines have in common, and the name of its log. `linked` are the slots it has been attached
    to, `left` those of them that are gone, `unready` the engines it still waits for.

    `fresh`: its engine was spawned in this life, under a name that no log has. `killing` is why we kill its process,
    `rests` why none comes after this one until somebody says so: its log is gone, or damaged at the start,
    `settled` is set while its process is up, or none is to come, `fallen` are the messages in which processes died and
    that none has laid to rest yet, oldest first.
    """

    def __init__(self, plan: SlotPlan, memory: Memory, *, spawned: bool = False) -> None:
        self.number = plan.slot
        self.device = plan.device
        self.core = plan.core
        self.share = ""
        self.memory = memory
        self.spawned = spawned
        self.fresh = False
        self.state: State = "starting"
        self.process: Process | None = None
        self.history = History()
        self.group: Group | None = None
        self.kind: Kind = "permanent"
        self.killing: Ours = ""
        self.rests = ""
        self.epoch = 0
        self.restarts = 0
        self.fallen: dict[InFlight, None] = {}
        self.linked: set[int] = set()
        self.left: set[int] = set()
        self.unready: set[str] = set()
        self.settled = asyncio.Event()

    def move(self, move: Move) -> None:
        """Go where the table says."""
        self.state = TABLE[self.state, move]
