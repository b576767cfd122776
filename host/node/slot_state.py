"""A slot as data: where it stands, what can happen to it, and the deeds that follow. The rules are in `slot_plan`."""

from __future__ import annotations

from typing import Literal

import msgspec

from host.node import reload_plan
from host.node.endings import Ended, Ours
from host.node.strategies import Strategy
from host.node.supervision import Ending, GiveUp, Restart

State = Literal["starting", "running", "freezing", "recalled", "restarting", "degraded", "finished", "stopping"]


class Departure(msgspec.Struct, frozen=True):
    """The end of a process, and why; `pid` 0: it never ran."""

    pid: int
    ending: Ending
    ended: Ended


class Crossing(msgspec.Struct, frozen=True):
    """A reload under way, and how its processes ended, as far as they did."""

    plan: reload_plan.ReloadState = reload_plan.ReloadState()
    old: Departure | None = None
    new: Departure | None = None


class SlotState(msgspec.Struct, frozen=True):
    """Where a slot stands. `strategy` is its group's, None without one; `killing` is why its process is killed."""

    state: State = "starting"
    process: Literal["none", "wanted", "there"] = "none"
    killing: Ours = ""
    crossing: Crossing | None = None
    strategy: Strategy | None = None
    births_lost: int = 0
    dissolves: bool = False

    @property
    def is_vacant(self) -> bool:
        """Whether it has no process, and no reload is about to give it one."""
        return self.process != "there" and self.crossing is None


class ProcessEnded(msgspec.Struct, frozen=True):
    """The process that owned the slot ended, the candidate before it did, or a wanted one is not to be had.

    `is_lost`: it was never born, because the zygote died first. `memory_evidence` is as in `endings.classify`,
    `account` how the end of a candidate is told.
    """

    pid: int
    ending: Ending
    owned: bool = True
    memory_evidence: str = ""
    is_lost: bool = False
    node_starts: bool = False
    account: str = ""


class StayDown(msgspec.Struct, frozen=True):
    """Verdict on an end that asks for no restart."""

    reason: str


class Down(msgspec.Struct, frozen=True):
    """No process for the slot (`finish`), and somebody has to look (`degrade`); or for none of its group (`give_up`).

    Said by a group it is a happening, else a deed.
    """

    deed: Literal["finish", "degrade", "give_up"]
    reason: str


SlotHappening = (
    Literal[
        "start_due",  # the start of the node, its group, or a user wants a process here
        "birth_failed",  # `launch` could not even ask for one
        "engines_ready",  # each engine of the process has reported
        "engines_failed",  # each has reported that it cannot start, or not go on
        "start_timeout",  # the watch found it past the deadline of its start
        "hung",  # or past that of a transition
        "pause_over",  # the one before a restart
        "recall_asked",  # its group goes down, to come up again or not
        "leave_expired",  # its time to leave has passed
        "reload_begun",  # there is a candidate
        "emptied",  # the last engine ended of those it was made for
        "node_stops",
    ]
    | ProcessEnded
    | Restart  # verdicts of supervision on a crash
    | GiveUp
    | StayDown
    | Down
    | reload_plan.Happening
)


class Bury(msgspec.Struct, frozen=True):
    """Account for the end of a process, and for its engines; after `crashed`, supervision is asked."""

    how: Literal["crashed", "recalled", "failed_start"]
    departure: Departure


class Later(msgspec.Struct, frozen=True):
    """`pause_over` after the pause; or the restart of the group, with whom its strategy names."""

    deed: Literal["pause", "restart_group"]
    pause_ns: int


class Conclude(msgspec.Struct, frozen=True):
    """The reload has come to its verdict."""

    verdict: reload_plan.Verdict
    reason: str


Deed = Literal[
    "launch",  # a process for the slot
    "repeat_launch",  # in place of one that was lost
    "relaunch",  # after one that ended: peers forget what it told them
    "tell_back",  # peers wait for room again
    "await_birth",  # in a moment it counts as an end
    "dismiss",  # ask the process to leave, and `leave_expired` after its time
    "kill",  # the process that owns the slot
    "take_leave",  # have it leave once nobody sends to it
    "remove",  # number and memory are free
]
ReloadDeed = Literal["freeze", "thaw", "adopt", "retire", "go", "kill_new", "set_deadline", "enforce"]
"""Of `reload_plan`; and the timer of the stage, and: what it brings is in force, for restarts too."""

SlotCommand = Deed | ReloadDeed | Bury | Later | Down | Conclude


class SlotStep(msgspec.Struct, frozen=True):
    """What follows: the slot from now on, and the deeds in their order."""

    slot: SlotState
    commands: tuple[SlotCommand, ...] = ()
