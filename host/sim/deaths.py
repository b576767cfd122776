"""What the end of a simulated process means for its engines and their messages: as `host.live.supervisor.deaths`."""

from __future__ import annotations

from host.node.endings import Ended, shown
from host.node.news import Letter, Waits
from host.node.poison import after_death
from host.node.progress import PARKED, STANDING, UNSENT
from host.node.routing import Missing, Resident
from host.node.slot_state import Departure
from host.sim import links
from host.sim.node import SimNode
from host.sim.slots import SimSlot


def remember(node: SimNode, slot: SimSlot, departure: Departure, ended: Ended) -> None:
    """The message the process died in; the next process learns its fate, unless it is to try again."""
    trigger = slot.page.in_flight()
    if trigger is None:
        return
    found = node.directory.find(trigger.engine)
    durability = "volatile" if isinstance(found, Missing) else found.spec.durability
    failures = node.failures.get(trigger, ())
    verdict = after_death(durability, departure.ending, ended, failures)
    if verdict.failure:
        node.failures[trigger] = (*failures, verdict.failure)
    if verdict.fate == "quarantine":
        slot.fallen[trigger] = f"its process died in it again: {shown(ended)}"
    elif verdict.fate == "crashed":
        slot.fallen[trigger] = ""


def report(node: SimNode, slot: SimSlot, kind: str, ended: Ended) -> None:
    """An event for each engine of a process that is gone."""
    words = slot.page.words
    for resident in node.directory.in_slot(slot.number):
        node.event(kind, resident.name, reason=shown(ended), lost=words[PARKED] + words[STANDING], unsent=words[UNSENT])


def succeed(node: SimNode, slot: SimSlot) -> tuple[Resident, ...]:
    """Revive or end the engines of a dead process, wherever they live. Returns the ended ones, for burial."""
    residents = node.directory.in_slot(slot.number)
    if all(resident.spec.durability == "volatile" for resident in residents):
        for resident in residents:
            _bury_suspended(node, node.waits.pop(resident.name, None))
    succession = node.directory.succeed(slot.number)
    for resident in succession.ended:
        if resident.slot != slot.number:
            links.end(node, resident.slot, resident.name)
    return succession.ended


def bury_engine(node: SimNode, resident: Resident) -> None:
    """The consequences of an engine's end, after the directory has laid a tombstone."""
    node.waits.pop(resident.name, None)
    node.event("ended", resident.name)
    if resident.parent is not None and resident.spec.durability != "volatile":
        parent = node.directory.find(resident.parent)
        if not isinstance(parent, Missing) and parent.slot != resident.slot:
            links.tell_child_ended(node, parent.slot, resident.parent, resident.name)
    slot = node.slots.get(resident.slot)
    if slot is not None:
        links.tell_gone(node, slot, resident.name)


def _bury_suspended(node: SimNode, waits: Waits | None) -> None:
    """A message whose engine waited for a choice dies with the process."""
    if waits is not None and waits.sender:
        at = (waits.sender, waits.engine, waits.mailbox, node.agenda.now_ns, waits.message)
        node.record.bury({"crashed": 1}, [Letter("crashed", *at, f"waited for {', '.join(waits.options)}")])
