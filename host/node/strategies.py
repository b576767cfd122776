"""The children stopped and started when a child of a group died: OTP's strategies, as a plan over children in order.

The order is that of the node file: started from first to last, each once the one before is ready, stopped from last to
first (`supervisor.erl`, `restart/3`, `terminate_children`, `start_children`). Children that a plan leaves out are not
touched. A temporary child that is stopped with its group is not started again; a transient one that had exited normally
is.

A failure while a plan is carried out makes a new plan, which covers what the old one had left to do. It begins at the
first child that waits for its start; that lies before the failed one if the failed one was still to be stopped.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from host.node.endings import Kind

Strategy = Literal["one_for_one", "one_for_all", "rest_for_one"]


class GroupChild(msgspec.Struct, frozen=True):
    """A process of a group by its slot number. `waits`: a plan under way will start it, once it has exited."""

    slot: int
    kind: Kind = "permanent"
    is_running: bool = True
    waits: bool = False


class GroupWork(msgspec.Struct, frozen=True):
    """Slots to recall, to leave out, to start, each in its order; with a reason to give up, those to degrade.

    `pauses` once the pause has begun; `starts` once the first slot of `start` was asked to start.
    """

    stop: tuple[int, ...] = ()
    over: tuple[int, ...] = ()
    pause_ns: int = 0
    start: tuple[int, ...] = ()
    degrade: tuple[int, ...] = ()
    reason: str = ""
    pauses: bool = False
    starts: bool = False


def plan_restart(strategy: Strategy, children: tuple[GroupChild, ...], failed: int, pause_ns: int = 0) -> GroupWork:
    """The work after `failed` died and asked for a restart. `children` are in their order, `failed` among them."""
    at = next(index for index, child in enumerate(children) if child.slot == failed)
    match strategy:
        case "one_for_one":
            touched = children[at : at + 1]
        case "rest_for_one":
            touched = children[min([at, *(index for index, child in enumerate(children) if child.waits)]) :]
        case "one_for_all":
            touched = children
    others = [child for child in touched if child.slot != failed]
    return GroupWork(
        stop=tuple(child.slot for child in reversed(others) if child.is_running),
        start=tuple(child.slot for child in touched if child.slot == failed or child.kind != "temporary"),
        over=tuple(child.slot for child in others if child.kind == "temporary"),
        pause_ns=pause_ns,
    )


def plan_stop(children: tuple[GroupChild, ...]) -> tuple[int, ...]:
    """Slots to stop when the group gives up, or the node stops: the last one first."""
    return tuple(child.slot for child in reversed(children) if child.is_running)
