"""A process died: what becomes of its engines, and when its slot gets the next one.

The order matters, because the supervisor may be asked to stop between any two steps, and because peers must not reach a
slot that nobody will come back to:

1. the control page is read: it names the message that was in flight, and the next process makes it a dead letter;
   messages whose engines stood at a choice are on no page and in no lane any more, and become dead letters here;
2. engines that descend from one that begins again are ended, wherever they live, and the births are raised;
3. the policy (`host.node.supervision`) says when to try again, or that it is enough;
4. after the pause a new process is born with the initial states, and peers forget what the old one told them.

A start that fails (import, initial state) is an end like any other: the process is killed and the policy asked.
"""

from __future__ import annotations

import asyncio
import random
import signal
from typing import Final

from host.live.supervisor import links, population
from host.live.supervisor.node import Node
from host.live.supervisor.slots import Slot
from host.live.wire import End, InFlight, Letter
from host.node.supervision import Ending, GiveUp, judge

NAMED_MAX: Final = 100
"""Engines of a dead process that get an event each; a group of thousands says the rest in one number."""


def failed_to_start(node: Node, slot: Slot, pid: int, ending: Ending) -> None:
    """A process ended before the node was up and its engines ready: nobody waits for a second try."""
    slot.move("ended")
    _report(node, slot, pid, ending)
    how = f"killed by {_signal_name(ending)}" if ending.signal else f"exit code {ending.code}"
    for name in sorted(slot.unready):
        node.on_fault(name, "crashed", f"its process ended before it was ready: {how}")
    slot.move("give_up")
    node.check_settled()


def crashed(node: Node, slot: Slot, pid: int, ending: Ending) -> None:
    """The process of a slot is gone and nobody asked it to go."""
    slot.move("ended")
    slot.in_flight = slot.memory.in_flight() or slot.in_flight
    _report(node, slot, pid, ending)
    _bury_suspended(node, slot)
    succession = node.directory.succeed(slot.number)
    for resident in (*succession.ended, *succession.reborn):
        node.waits.pop(resident.name, None)
        node.running.pop(resident.name, None)
    for resident in succession.ended:
        if resident.slot != slot.number:
            node.tell(resident.slot, End((resident.name,)))
        population.bury(node, resident)
    if slot.state == "restarting":
        _decide(node, slot)


def _bury_suspended(node: Node, slot: Slot) -> None:
    """What engines of the slot were given and had not been answered for dies with the process: `crashed`.

    It left the lane when it was given, so nobody drains it again. Crash points: a process killed before it moved the
    heads of its lanes gets the message again; one killed after that and before it said `Waits`, some microseconds in a
    cycle, takes it along.
    """
    standing = [waits for r in node.directory.in_slot(slot.number) if (waits := node.waits.pop(r.name, None))]
    letters = [
        Letter("crashed", w.sender, w.engine, w.mailbox, node.now_ns(), w.message, f"stood at {', '.join(w.options)}")
        for w in standing
    ]
    if letters:
        node.letters.add({"crashed": len(letters)}, letters)
        node.sessions.take_letters(letters)


def _decide(node: Node, slot: Slot) -> None:
    verdict = judge(slot.history, node.limits, node.now_ns(), random.random())
    slot.history = verdict.history
    if isinstance(verdict, GiveUp):
        _give_up(node, slot, verdict.reason)
        return
    slot.restarts += 1
    asyncio.get_running_loop().call_later(verdict.pause_ns / 1e9, _restart, node, slot)


def _restart(node: Node, slot: Slot) -> None:
    if slot.state != "restarting":
        return
    slot.move("launch")
    population.launch(node, slot, slot.history, crashed=slot.in_flight)
    links.tell_restarted(node, slot)


def _give_up(node: Node, slot: Slot, reason: str) -> None:
    slot.move("give_up")
    for resident in node.directory.in_slot(slot.number):
        node.faults.setdefault(resident.name, reason)
        node.event("failed", resident.name, reason=reason, slot=slot.number)
        links.tell_gone(node, slot, resident.name, "failed")


def _report(node: Node, slot: Slot, pid: int, ending: Ending) -> None:
    residents = node.directory.in_slot(slot.number)
    facts = {"slot": slot.number, "pid": pid, "code": ending.code, "signal": _signal_name(ending)}
    for resident in residents[:NAMED_MAX]:
        node.event("crashed", resident.name, **facts, **_flight(resident.name, slot.in_flight))
    if len(residents) > NAMED_MAX:
        node.event("crashed", "", **facts, more=len(residents) - NAMED_MAX)


def _flight(engine: str, in_flight: InFlight | None) -> dict[str, object]:
    if in_flight is None or in_flight.engine != engine:
        return {}
    return {"in_flight": {"sender": in_flight.sender, "mailbox": in_flight.mailbox, "n": in_flight.n}}


def _signal_name(ending: Ending) -> str | None:
    return None if ending.signal is None else signal.Signals(ending.signal).name
