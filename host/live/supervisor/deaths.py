"""What the end of a process means for its engines and their messages; the decision on a restart is made elsewhere.

The control page names the message that was in flight. Its fate (`host.node.poison`): the next process makes it a dead
letter, tries it once more, or hands it to the quarantine. Messages whose engines waited for a choice are on no page and
no longer in a lane; they become dead letters here.
"""

from __future__ import annotations

import os
import signal
from typing import Any, Final

import msgspec

from host.live.supervisor import links
from host.live.supervisor.node import Node
from host.live.supervisor.printed import OUTPUT
from host.live.supervisor.processes import Process
from host.live.supervisor.slots import Slot
from host.live.wire import ChildEnded, End
from host.node.endings import Ended, shown
from host.node.news import Letter, Trigger
from host.node.poison import after_death
from host.node.progress import PARKED, STANDING, UNSENT
from host.node.routing import Missing, Resident
from host.node.slot_state import Departure
from host.node.supervision import Ending

NAMED_MAX: Final = 100
"""Engines of a dead process that get an event each; the rest of a group of thousands is counted in one event."""

FALLEN_BYTES_MAX: Final = 16 * 1024
"""Size of the fatal messages sent to the next process: some hundreds. Beyond it the oldest are dropped."""


def remember(node: Node, slot: Slot, departure: Departure, ended: Ended) -> Trigger | None:
    """The message the process died in; the next process is told its fate, unless it is to try again."""
    trigger = slot.memory.reading().in_flight
    if trigger is None:
        return None
    found = node.directory.find(trigger.engine)
    durability = "volatile" if isinstance(found, Missing) else found.spec.durability
    verdict = after_death(durability, departure.ending, ended, node.quarantine.failures(trigger))
    if verdict.failure:
        node.quarantine.count(trigger, verdict.failure)
    if verdict.fate == "quarantine":
        slot.fallen[trigger] = f"its process died in it again: {shown(ended)}"
    elif verdict.fate == "crashed":
        slot.fallen[trigger] = ""
    while len(msgspec.msgpack.encode(tuple(slot.fallen.items()))) > FALLEN_BYTES_MAX:
        del slot.fallen[next(iter(slot.fallen))]
    return trigger


def report(node: Node, slot: Slot, departure: Departure, in_flight: Trigger | None = None) -> None:
    """A process is gone and nobody asked it to go."""
    residents, ended, ending = node.directory.in_slot(slot.number), departure.ended, departure.ending
    facts: dict[str, Any] = {"slot": slot.number, "pid": departure.pid, "reason": ended.reason, "detail": ended.detail}
    words = slot.memory.moves()
    facts |= {"code": ending.code, "signal": signal_name(ending)}
    if ended.reason == "exception":
        facts["printed"] = os.path.join(node.data, OUTPUT)
    facts |= {"lost": words[PARKED] + words[STANDING], "unsent": words[UNSENT]}
    for resident in residents[:NAMED_MAX]:
        node.event("crashed", resident.name, **facts, **_flight(resident.name, in_flight))
    if len(residents) > NAMED_MAX:
        node.event("crashed", "", **facts, more=len(residents) - NAMED_MAX)


def report_recalled(node: Node, slot: Slot, departure: Departure) -> None:
    """Record that a process exited because its group is restarted."""
    for resident in node.directory.in_slot(slot.number)[:NAMED_MAX]:
        node.event("recalled", resident.name, slot=slot.number, pid=departure.pid, reason=shown(departure.ended))


def fail_start(node: Node, slot: Slot, departure: Departure) -> None:
    """A process ended before the node was up and its engines ready: report why to the command that starts the node."""
    ending = departure.ending
    how = f"killed by {signal_name(ending)}" if ending.signal else f"exit code {ending.code}"
    for name in sorted(slot.unready):
        detail = f"its process ended before it was ready: {shown(departure.ended)}, {how}"
        if (fault := node.faults.get(name)) is not None:
            detail = f"{detail}; {fault.splitlines()[-1]}"
        node.on_fault(name, "crashed", detail)


def succeed(node: Node, slot: Slot) -> tuple[Resident, ...]:
    """Revive or end the engines of a dead process, wherever they live. Returns the ended ones, for burial."""
    _bury_suspended(node, slot)
    succession = node.directory.succeed(slot.number)
    for resident in (*succession.ended, *succession.reborn):
        node.waits.pop(resident.name, None)
        node.running.pop(resident.name, None)
    for resident in succession.ended:
        if resident.slot != slot.number:
            node.tell(resident.slot, End((resident.name,)))
    return succession.ended


def _bury_suspended(node: Node, slot: Slot) -> None:
    """A message whose engine waited for a choice dies with the process: a dead letter `crashed`.

    It left its lane when its engine took it, so no successor reads it there. Crash points: if a process is killed
    before it moved the heads of its lanes, its successor gets the message again; if it is killed between that and
    sending `Waits`, some microseconds in a cycle, the content is lost, and the control page holds only the number of
    such messages.
    """
    residents = node.directory.in_slot(slot.number)
    if any(resident.spec.durability != "volatile" for resident in residents):
        return  # in a log, or beside one: the page does not show what a volatile neighbour lost
    standing = [waits for r in residents if (waits := node.waits.pop(r.name, None))]
    letters = [
        Letter("crashed", w.sender, w.engine, w.mailbox, node.now_ns(), w.message, f"waited for {', '.join(w.options)}")
        for w in standing
    ]
    unnamed = slot.memory.moves()[STANDING] - sum(bool(waits.sender) for waits in standing)
    letters += [_unnamed(node, slot) for _ in range(unnamed)]
    if letters:
        node.letters.add({"crashed": len(letters)}, letters)
        node.sessions.take_letters(letters)


def bury_engine(node: Node, resident: Resident) -> None:
    """The consequences of an engine's end, after the directory has laid a tombstone."""
    for kept in (node.running, node.faults, node.diverged, node.waits):
        kept.pop(resident.name, None)
    node.event("ended", resident.name)
    tell_parent(node, resident)
    slot = node.slots.get(resident.slot)
    if slot is not None:
        slot.unready.discard(resident.name)
        links.tell_gone(node, slot, resident.name, "ended")


def _unnamed(node: Node, slot: Slot) -> Letter:
    """For a message whose engine waited for a choice when the process died; its content is lost."""
    residents = node.directory.in_slot(slot.number)
    engine = residents[0].name if len(residents) == 1 else ""
    detail = f"waited for a choice in slot {slot.number}; its content died with the process"
    return Letter("crashed", "", engine, 0, node.now_ns(), None, detail)


def _flight(engine: str, in_flight: Trigger | None) -> dict[str, object]:
    if in_flight is None or in_flight.engine != engine:
        return {}
    return {"in_flight": {"sender": in_flight.sender, "mailbox": in_flight.mailbox, "n": in_flight.n}}


def tell_parent(node: Node, child: Resident) -> Process | None:
    """Notify a journaled parent in another process: it would otherwise spawn the child again in its next life.

    Returns that process; None if there is none.
    """
    parent = Missing("unknown") if child.parent is None else node.directory.find(child.parent)
    if isinstance(parent, Missing) or parent.slot == child.slot or child.spec.durability == "volatile":
        return None
    process = node.slots[parent.slot].process
    if process is None or not process.is_alive:
        return None
    process.send(ChildEnded(parent.name, child.name))
    return process


def signal_name(ending: Ending) -> str | None:
    """The signal's name, such as SIGKILL; None if no signal ended the process."""
    return None if ending.signal is None else signal.Signals(ending.signal).name
