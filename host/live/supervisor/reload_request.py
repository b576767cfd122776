"""A user's request to reload an engine, or to try it: whether it can begin, and its answer and event."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from host.live.control.protocol import ControlError
from host.live.supervisor import population
from host.live.supervisor.joint import JointMember, JointReload
from host.live.supervisor.node import Node
from host.live.supervisor.probation import Probation
from host.live.supervisor.reload import Reload, ReloadOrder, version_label
from host.live.supervisor.slots import Slot
from host.live.wire import KEEP, Running
from host.node.routing import Missing, Resident

NAMES_SHOWN: Final = 20
"""Neighbours named in the answer and in the event of a reload; the rest are counted."""

KEEP_NS: Final = 5_000_000_000
"""For an engine to reach a boundary, and to write some files."""

TRACEBACK: Final = "Traceback (most recent call last):"


class ReloadTarget(NamedTuple):
    """An engine before its reload: what runs in its slot, and who shares that."""

    member: JointMember
    was: str
    running: dict[str, Running]
    shared: list[str]


async def reload_engine(node: Node, resident: Resident, to: str, order: ReloadOrder) -> dict[str, Any]:
    """Replace the code of an engine, or try to (`is_trial`); returns the cost and what was found.

    Raises `ControlError`; the old engine is then untouched.
    """
    now = _target(node, resident, to)
    slot, name, family = now.member
    reload = Reload(node, slot, name, family, order)
    reload.after_cut = lambda: _begin_probation(node, now, reload, order)
    outcome = await reload.done
    if isinstance(node.directory.find(name), Missing):
        raise ControlError("not_found", f"{name} ended while it was reloaded")
    if outcome.verdict not in ("switched", "tried"):
        is_refused = outcome.verdict == "refused" and not reload.has_cut
        node.event("reload_refused" if is_refused else "reload_failed", name, reason=outcome.reason)
        reason, detail = _headed(outcome.reason)
        head, tail = _which_code(reload, is_refused=is_refused)
        raise ControlError("refused" if is_refused else "failed", f"{name} {head}: {reason}; {tail}{detail}")
    return _answer(node, now, reload, order)


async def reload_together(node: Node, residents: list[Resident], order: ReloadOrder) -> list[dict[str, Any]]:
    """Replace the code of several engines at one boundary, or of none; returns one answer a slot.

    Raises `ControlError`; the old engines are then untouched, but for those whose process ended meanwhile.
    """
    if order.probation.is_on:
        raise ControlError(
            "usage", "a group has no probation: --probation 0 reloads it without the one of the node file"
        )
    by_slot = {resident.slot: resident for resident in reversed(residents)}
    chosen = [resident for resident in residents if by_slot[resident.slot] is resident]
    for resident in chosen:
        await _keep_code(node, _target(node, resident, "").member.slot)
    targets = [_target(node, resident, "") for resident in chosen]
    joint = JointReload(node, [now.member for now in targets], order)
    ended = await joint.ended()
    for now in targets:
        if all(one.spec.durability == "volatile" for one in node.directory.in_slot(now.member.slot.number)):
            population.drop_code(node, now.member.slot)
    names = ", ".join(resident.name for resident in residents)
    if joint.state.failed:
        has_crashed = any(outcome.verdict == "crashed" for _, outcome in ended.values())
        kind, what = ("reload_failed", "failed") if has_crashed else ("reload_refused", "refused")
        for now in targets:
            node.event(kind, now.member.name, reason=joint.state.failed)
        reason, detail = _headed(joint.state.failed)
        rest = "its engine was restarted with that, the others go on" if has_crashed else "the old ones go on untouched"
        raise ControlError(what, f"{names} keep their code: {reason}; {rest}{detail}")
    restarted = [f"{name}: {outcome.reason}" for name, (_, outcome) in ended.items() if outcome.verdict == "crashed"]
    if restarted:
        raise ControlError("failed", f"{names} have the new code, but not all took over: {'; '.join(restarted)}")
    together = [now.member.name for now in targets]
    return [{**_answer(node, now, ended[now.member.name][0], order), "together": together} for now in targets]


async def _keep_code(node: Node, slot: Slot) -> None:
    """Have a slot's process keep its code: it starts again with that if it ends before the decision."""
    if slot.process is not None:
        await node.queries.ask(slot.process, KEEP, population.code_folder(node, slot), KEEP_NS)


def _target(node: Node, resident: Resident, to: str) -> ReloadTarget:
    """Raises `ControlError` if it cannot be reloaded now."""
    name, slot = resident.name, node.slots[resident.slot]
    if slot.number in node.reloads:
        raise ControlError("conflict", f"{name}: its process is being reloaded already")
    if slot.number in node.probations:
        raise ControlError(
            "conflict",
            f"{name} {node.probations[slot.number].account}: two versions of it live, and a third one has to wait",
        )
    if slot.state != "running" or name not in node.running:
        has_no_process = slot.state in ("restarting", "degraded", "finished")
        what_to_do = f"; `enginehost restart {name}` begins it, from its sources as they are" if has_no_process else ""
        raise ControlError("not_ready", f"{name} is not running: {node.faults.get(name, slot.state)}{what_to_do}")
    residents = node.directory.in_slot(slot.number)
    running = {other.name: node.running[other.name] for other in residents if other.name in node.running}
    shared = [other.name for other in residents if other.name != name]
    return ReloadTarget(JointMember(slot, name, to or resident.spec.family), resident.spec.family, running, shared)


def _answer(node: Node, now: ReloadTarget, reload: Reload, order: ReloadOrder) -> dict[str, Any]:
    """The cost of a reload and what was found, which is an event too. Raises `ControlError`."""
    name, before = now.member.name, now.running[now.member.name]
    if name not in node.running:
        raise ControlError("failed", f"{name}: its process ended as soon as the new code ran")
    item: dict[str, Any] = {
        "engine": name,
        "from": version_label(before),
        "to": reload.version,
        "pause_ns": reload.pause_ns,
        "queued": reload.queued,
        "followed": reload.is_followed,
        "not_followed": reload.not_followed,
        "shared_with": now.shared[:NAMES_SHOWN],
        "shared": len(now.shared),
        "tried": order.is_trial,
        "probation": order.probation.length if reload.leads_to_probation else "",
        "is_other_code": reload.is_other_code,
        **reload.findings(before),
    }
    node.event("reload_tried" if order.is_trial else "reloaded", **item)
    return item


def _begin_probation(node: Node, now: ReloadTarget, reload: Reload, order: ReloadOrder) -> None:
    if reload.leads_to_probation:
        slot, name, _ = now.member
        Probation(node, slot, name, reload.before(now.was, now.running), order.probation)


def _which_code(reload: Reload, *, is_refused: bool) -> tuple[str, str]:
    """Which code runs after a reload that did not succeed, before and behind the reason."""
    if reload.has_cut:
        return "has the new code, but its process did not begin", "the next one runs that code"
    if is_refused:
        return "keeps its code", "the old one goes on untouched"
    if reload.keeps_code_before:
        return "keeps its code", "it was restarted"
    return "was not reloaded", "it was restarted, from its sources as they are"


def _headed(reason: str) -> tuple[str, str]:
    """A line, and the further ones. A traceback is known by its last line."""
    first, *more = reason.splitlines() or [""]
    detail = "".join(f"\n{line}" for line in more)
    return (first.replace(TRACEBACK, more[-1]) if more else first), detail
