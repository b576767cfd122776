"""Two slots that get other code together, as a plain transition system over `host.node.joint_plan`.

Each slot is one of `slot_reload`, without mail: the same machine, processes and deaths. After each of its steps the
joint reload feeds what it decides, before anything else happens, as `host.live.supervisor.joint` does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import msgspec
from msgspec.structs import replace

from engines.model import Map
from engines.model.transition_system import PlainStep, TransitionSystem
from host.node import joint_plan, slot_plan
from host.node.joint_plan import JointState, JointTask, concluded
from host.node.reload_plan import ReloadState
from host.node.slot_state import Crossing, SlotState

from .slot_reload import Body, Node, SlotReload, one_runs_at_last

NextTask = Callable[[JointState, Mapping[int, SlotState]], tuple[JointState, JointTask | None]]


class Pair(msgspec.Struct, frozen=True):
    """The joint reload, and its members by their numbers."""

    joint: JointState
    nodes: tuple[Node, ...]


class JointReloads:
    """The steps; `deaths` processes die in all, `next_task` is the plan."""

    def __init__(self, deaths: int, next_task: NextTask) -> None:
        self._deaths = deaths
        self._next_task = next_task
        self._slot = SlotReload(slot_plan.advance, deaths, ("fit", "unfit"))

    def steps(self, pair: Pair) -> Iterator[PlainStep[Pair]]:
        """What each member may do."""
        for number, node in enumerate(pair.nodes):
            for step in self._slot.steps(node):
                after = self._with(pair, number, step.state)
                if sum(one.deaths for one in after.nodes) <= self._deaths:
                    yield PlainStep(f"{number}: {step.label}", self._carried_on(after), step.is_owed)

    def _with(self, pair: Pair, number: int, node: Node) -> Pair:
        nodes = (*pair.nodes[:number], node, *pair.nodes[number + 1 :])
        joint = pair.joint
        if node.verdict and not pair.nodes[number].verdict:
            joint = concluded(joint, str(number), node.verdict, "why")  # type: ignore[arg-type]
        return Pair(joint, nodes)

    def _carried_on(self, pair: Pair) -> Pair:
        while True:
            slots = {number: node.slot for number, node in enumerate(pair.nodes)}
            joint, task = self._next_task(pair.joint, slots)
            pair = replace(pair, joint=joint)
            if task is None:
                return pair
            number, happening = task
            pair = self._with(pair, number, self._slot.feed(pair.nodes[number], happening))


def versions_never_meet(pair: Pair) -> bool:
    """Old code of one member and new code of another never run at once: one would read what the other sends."""
    running = {body.code for node in pair.nodes for body in node.bodies.values() if body.runs and not body.is_frozen}
    return running != {"old", "new"}


def all_have_one_version(pair: Pair) -> bool:
    """Each member runs, and all run one version."""
    codes = {body.code for node in pair.nodes for body in node.bodies.values() if body.runs}
    return all(map(one_runs_at_last, pair.nodes)) and len(codes) == 1


def all_run(code: str) -> Callable[[Pair], bool]:
    """A property: all members run this version at last."""

    def all_run_it(pair: Pair) -> bool:
        return all_have_one_version(pair) and all(node.code == code for node in pair.nodes)

    all_run_it.__name__ = f"all_run_{code}"
    return all_run_it


def SYSTEM(
    deaths: int, next_task: NextTask = joint_plan.next_task, *, is_trial: bool = False
) -> TransitionSystem[Pair]:
    """A joint reload of two slots that has just begun, or a trial of one."""
    slot = SlotState("running", "there", crossing=Crossing(ReloadState(is_trial=is_trial, is_joint=True)))
    bodies = Map([("old", Body("old", runs=True)), ("new", Body("new", todo=("check",)))])
    return TransitionSystem(
        name="joint-reload",
        initial=Pair(JointState((0, 1)), (Node(slot, bodies, mail=(), lanes=()),) * 2),
        steps=JointReloads(deaths, next_task).steps,
        always=[versions_never_meet],
        sometimes=[all_run("old")] if is_trial else [all_run("old"), all_run("new")],
        eventually=[all_have_one_version],
    )
