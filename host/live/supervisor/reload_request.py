"""A user's request to reload an engine, or to try it: whether it can begin, and its answer and event."""

from __future__ import annotations

from typing import Any, Final

from host.live.control.protocol import ControlError
from host.live.supervisor.node import Node
from host.live.supervisor.probation import Probation
from host.live.supervisor.reload import Before, Reload, ReloadOrder, version_label
from host.live.supervisor.slots import Slot
from host.node.routing import Missing, Resident

NAMES_SHOWN: Final = 20
"""Neighbours named in the answer and in the event of a reload; the rest are counted."""

TRACEBACK: Final = "Traceback (most recent call last):"


async def reload_engine(node: Node, resident: Resident, to: str, order: ReloadOrder) -> dict[str, Any]:
    """Replace the code of an engine, or try to (`is_trial`); returns the cost and what was found.

    Raises `ControlError`; the old engine is then untouched.
    """
    name, slot = resident.name, node.slots[resident.slot]
    if slot.number in node.reloads:
        raise ControlError("conflict", f"{name}: its process is being reloaded already")
    if slot.number in node.probations:
        raise ControlError(
            "conflict",
            f"{name} {node.probations[slot.number].account}: two versions of it live, and a third one has to wait",
        )
    if slot.state != "running" or name not in node.running:
        raise ControlError("not_ready", f"{name} is not running: {node.faults.get(name, slot.state)}")
    before = node.running[name]
    family = to or resident.spec.family
    residents = node.directory.in_slot(slot.number)
    shared = [other.name for other in residents if other.name != name]
    running = {other.name: node.running[other.name] for other in residents if other.name in node.running}
    reload = Reload(node, slot, name, family, order)
    was = resident.spec.family
    reload.after_cut = lambda: _begin_probation(node, slot, name, reload, reload.before(was, running), order)
    outcome = await reload.done
    if isinstance(node.directory.find(name), Missing):
        raise ControlError("not_found", f"{name} ended while it was reloaded")
    if outcome.verdict not in ("switched", "tried"):
        node.event("reload_refused" if outcome.verdict == "refused" else "reload_failed", name, reason=outcome.reason)
        what = "refused" if outcome.verdict == "refused" else "failed"
        untouched = "; the old one goes on untouched" if outcome.verdict == "refused" else "; it was restarted"
        reason, detail = _headed(outcome.reason)
        raise ControlError(what, f"{name} keeps its code: {reason}{untouched}{detail}")
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
        "shared_with": shared[:NAMES_SHOWN],
        "shared": len(shared),
        "tried": order.is_trial,
        "probation": order.probation.length if reload.leads_to_probation else "",
        "is_other_code": reload.is_other_code,
        **reload.findings(before),
    }
    node.event("reload_tried" if order.is_trial else "reloaded", **item)
    return item


def _begin_probation(node: Node, slot: Slot, engine: str, reload: Reload, before: Before, order: ReloadOrder) -> None:
    if reload.leads_to_probation:
        Probation(node, slot, engine, before, order.probation)


def _headed(reason: str) -> tuple[str, str]:
    """A line, and the further ones. A traceback is known by its last line."""
    first, *more = reason.splitlines() or [""]
    detail = "".join(f"\n{line}" for line in more)
    return (first.replace(TRACEBACK, more[-1]) if more else first), detail
