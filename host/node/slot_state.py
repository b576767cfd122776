"""A slot as data: its state, the happenings it can meet, and the commands that follow. The rules are in `slot_plan`."""

from __future__ import annotations

from typing import Literal

import msgspec

from host.node import reload_plan
from host.node.endings import Ended, Ours
from host.node.strategies import Strategy
from host.node.supervision import Ending, GiveUp, Restart

State = Literal["starting", "running", "freezing", "recalled", "restarting", "degraded", "finished", "stopping"]


class Departure(msgspec.Struct, frozen=True):
    """The end of a process, and its reason; `pid` 0: it never ran."""

    pid: int
    ending: Ending
    ended: Ended


class Crossing(msgspec.Struct, frozen=True):
    """A reload under way, with the ends of its processes so far."""

    plan: reload_plan.ReloadState = reload_plan.ReloadState()
    old: Departure | None = None
    new: Departure | None = None


class SlotState(msgspec.Struct, frozen=True):
    """The state of a slot. `strategy` is its group's, None without one; `killing` is why its process is killed."""

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
    """The process that owned the slot ended, or the candidate did before owning it, or a wanted one cannot be had.

    `is_lost`: it was never born, because the zygote died first. `memory_evidence` is as in `endings.classify`,
    `account` describes the end of a candidate.
    """

    pid: int
    ending: Ending
    owned: bool = True
    memory_evidence: str = ""
    is_lost: bool = False
    node_starts: bool = False
    account: str = ""


class StayDown(msgspec.Struct, frozen=True):
    """The verdict on an end that asks for no restart."""

    reason: str


class Down(msgspec.Struct, frozen=True):
    """No process for the slot: `finish`; `degrade`, until an operator acts; `give_up`, for its whole group.

    From a group it is a happening, otherwise a command.
    """

    deed: Literal["finish", "degrade", "give_up"]
    reason: str


SlotHappening = (
    Literal[
        "start_due",  # the start of the node, its group, or a user asks for a process here
        "birth_failed",  # `launch` could not even request one
        "engines_ready",  # each engine of the process has reported
        "engines_failed",  # each has reported that it cannot start, or cannot go on
        "start_timeout",  # the watch found it past the deadline of its start
        "hung",  # or past that of a transition
        "pause_over",  # the pause before a restart
        "recall_asked",  # its group goes down, whether or not it comes up again
        "leave_expired",  # its time to exit has passed
        "reload_begun",  # there is a candidate
        "trial_begun",  # there is one, which will not take over
        "joint_begun",  # there is one, which takes over together with those of other slots
        "joint_trial_begun",
        "emptied",  # the last of the engines it was made for ended
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
    """Account for the end of a process, and for its engines; after `crashed`, supervision judges it."""

    how: Literal["crashed", "recalled", "failed_start"]
    departure: Departure


class Later(msgspec.Struct, frozen=True):
    """`pause_over` after the pause; or the restart of the group, as its strategy has it."""

    deed: Literal["pause", "restart_group"]
    pause_ns: int


class Conclude(msgspec.Struct, frozen=True):
    """The verdict of the reload."""

    verdict: reload_plan.Verdict
    reason: str


Deed = Literal[
    "launch",  # start a process for the slot
    "repeat_launch",  # start one in place of one that was lost
    "relaunch",  # start one after one that ended, and report the restart to peers
    "tell_back",  # peers wait for room again
    "await_birth",  # soon counts as an end
    "dismiss",  # ask the process to exit; `leave_expired` follows after its time
    "kill",  # kill the process that owns the slot
    "take_leave",  # have the process exit once no peer sends to it
    "remove",  # release number and memory
]
ReloadDeed = reload_plan.Work | Literal["set_deadline", "enforce"]
"""Commands of `reload_plan`; `set_deadline` sets the timer of the stage, `enforce` makes the new code stay in force."""

SlotCommand = Deed | ReloadDeed | Bury | Later | Down | Conclude


class SlotStep(msgspec.Struct, frozen=True):
    """What follows: the slot from now on, and the commands in order."""

    slot: SlotState
    commands: tuple[SlotCommand, ...] = ()
