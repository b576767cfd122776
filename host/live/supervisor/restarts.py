"""A process died: what becomes of its engines, and when its slot gets the next one.

The order matters, because the supervisor may be asked to stop between any two steps, and because peers must not reach a
slot that nobody will come back to:

1. the control page is read: it names the message that was in flight, whose fate is decided (`host.node.poison`): the
   next process makes it a dead letter, tries it once more, or hands it over to the quarantine; messages whose engines
   stood at a choice are on no page and in no lane any more, and become dead letters here;
2. engines that descend from one that begins again are ended, wherever they live, and the births are raised;
3. whether such an end asks for a restart at all (`host.node.endings`), and if so, when to try again, or that it is
   enough (`host.node.supervision`);
4. after the pause a new process is born with the initial states, and peers forget what the old one told them. In a
   group, others may go down and up with it (`groups`).

A slot that died too often is *degraded*: no process comes by itself, its engines take mail as far as the lanes to it
hold, and whoever sends more gets dead letters instead of waiting. `restart` or a reload of the node file ends that. The
same becomes of one whose log is gone, and of one whose log cannot be used if the node was started without such.

A start that fails (import, initial state) is an end like any other: the process is killed and the policy asked.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
from typing import Any, Final

import msgspec

from host.live.supervisor import groups, population
from host.live.supervisor.node import Node
from host.live.supervisor.printed import OUTPUT
from host.live.supervisor.revival import degrade, finish, relaunch
from host.live.supervisor.slots import Slot
from host.live.wire import End, InFlight, Letter
from host.node.endings import Ended, classify, wants_restart
from host.node.poison import Trigger, after_death
from host.node.progress import PARKED, STANDING, UNSENT
from host.node.routing import Missing
from host.node.supervision import Ending, GiveUp, History, judge

NAMED_MAX: Final = 100
"""Engines of a dead process that get an event each; a group of thousands says the rest in one number."""


def failed_to_start(node: Node, slot: Slot, pid: int, ending: Ending) -> None:
    """A process ended before the node was up and its engines ready: nobody waits for a second try."""
    slot.move("ended")
    if slot.rests:
        degrade(node, slot, slot.rests)
        node.check_settled()
        return
    ended = _why(node, slot, pid, ending)
    _report(node, slot, pid, ending, ended)
    how = f"killed by {_signal_name(ending)}" if ending.signal else f"exit code {ending.code}"
    for name in sorted(slot.unready):
        node.on_fault(name, "crashed", f"its process ended before it was ready: {_shown(ended)}, {how}")
    slot.move("give_up")
    if slot.group is not None:
        slot.group.halt()
        for number in slot.group.slots:
            if node.slots[number].process is None and node.slots[number].state == "starting":
                node.slots[number].move("ended")
                node.slots[number].move("give_up")
    node.check_settled()


def crashed(node: Node, slot: Slot, pid: int, ending: Ending) -> None:
    """The process of a slot is gone and nobody asked it to go."""
    slot.move("ended")
    ended = _why(node, slot, pid, ending)
    died_in = _remember(node, slot, ending, ended)
    _report(node, slot, pid, ending, ended, died_in)
    _succeed(node, slot)
    if slot.state == "restarting":
        _decide(node, slot, ended)


def recalled(node: Node, slot: Slot, pid: int, ending: Ending) -> None:
    """The process of a slot left because its group is restarted; what it left unfinished was not its fault."""
    slot.move("ended")
    ended = _why(node, slot, pid, ending)
    _remember(node, slot, ending, Ended("killed", "shutdown"))
    for resident in node.directory.in_slot(slot.number)[:NAMED_MAX]:
        node.event("recalled", resident.name, slot=slot.number, pid=pid, reason=_shown(ended))
    _succeed(node, slot)


def restart_degraded(node: Node, slot: Slot) -> None:
    """Somebody says that the fault is gone: begin again, with nothing held against it."""
    slot.history = History(node.now_ns())
    if slot.group is not None:
        slot.group.history = slot.history
        groups.restart(node, slot.group, slot, 0)  # with those whom the strategy names
    else:
        relaunch(node, slot)


def _succeed(node: Node, slot: Slot) -> None:
    """Engines of a dead process are born again or ended, wherever they live."""
    _bury_suspended(node, slot)
    succession = node.directory.succeed(slot.number)
    for resident in (*succession.ended, *succession.reborn):
        node.waits.pop(resident.name, None)
        node.running.pop(resident.name, None)
    for resident in succession.ended:
        if resident.slot != slot.number:
            node.tell(resident.slot, End((resident.name,)))
        population.bury(node, resident)


def _bury_suspended(node: Node, slot: Slot) -> None:
    """What engines of the slot were given and had not been answered for dies with the process: `crashed`.

    It left the lane when it was given, so nobody drains it again. Crash points: a process killed before it moved the
    heads of its lanes gets the message again; one killed after that and before it said `Waits`, some microseconds in a
    cycle, takes its content along, and the control page says how many there were.
    """
    residents = node.directory.in_slot(slot.number)
    if any(resident.spec.durability != "volatile" for resident in residents):
        return  # in a log, or beside one: what is lost of a volatile neighbour cannot be told from the page
    standing = [waits for r in residents if (waits := node.waits.pop(r.name, None))]
    letters = [
        Letter("crashed", w.sender, w.engine, w.mailbox, node.now_ns(), w.message, f"stood at {', '.join(w.options)}")
        for w in standing
    ]
    unnamed = slot.memory.moves()[STANDING] - sum(bool(waits.sender) for waits in standing)
    letters += [_unnamed(node, slot) for _ in range(unnamed)]
    if letters:
        node.letters.add({"crashed": len(letters)}, letters)
        node.sessions.take_letters(letters)


def _unnamed(node: Node, slot: Slot) -> Letter:
    """A message that an engine stood at a choice for, of which nothing is left but that it was there."""
    residents = node.directory.in_slot(slot.number)
    engine = residents[0].name if len(residents) == 1 else ""
    detail = f"stood at a choice in slot {slot.number}; its content died with the process"
    return Letter("crashed", "", engine, 0, node.now_ns(), None, detail)


def _why(node: Node, slot: Slot, pid: int, ending: Ending) -> Ended:
    ours, slot.killing = slot.killing, ""
    counted = node.memory_kills.risen()
    evidence = node.control_groups.evidence(pid) or counted
    return classify(ending, ours=ours, memory_evidence=evidence, ran=pid != 0)


def _remember(node: Node, slot: Slot, ending: Ending, ended: Ended) -> InFlight | None:
    """The message the process died in, with what its fate means for the next process: that is told, or tries again."""
    died_in = slot.memory.in_flight()
    if died_in is None:
        return None
    trigger = Trigger(died_in.engine, died_in.sender, died_in.mailbox, died_in.epoch, died_in.n)
    found = node.directory.find(died_in.engine)
    durability = "volatile" if isinstance(found, Missing) else found.spec.durability
    verdict = after_death(durability, ending, ended, node.quarantine.failures(trigger))
    if verdict.failure:
        node.quarantine.count(trigger, verdict.failure)
    if verdict.fate == "quarantine":
        how = f"its process died in it again: {_shown(ended)}"
        slot.fallen[msgspec.structs.replace(died_in, poison=how)] = None
    elif verdict.fate == "crashed":
        slot.fallen[died_in] = None
    while len(msgspec.msgpack.encode(tuple(slot.fallen))) > population.FALLEN_BYTES_MAX:
        del slot.fallen[next(iter(slot.fallen))]
    return died_in


def _decide(node: Node, slot: Slot, ended: Ended) -> None:
    if slot.rests:
        degrade(node, slot, slot.rests)
        return
    if not wants_restart(slot.kind, ended.reason):
        finish(node, slot, _shown(ended))
        return
    group = slot.group
    holder, limits = (slot, node.limits) if group is None else (group, group.limits)
    verdict = judge(holder.history, limits, node.budget, node.now_ns(), random.random())
    holder.history = verdict.history
    if isinstance(verdict, GiveUp):
        if group is None:
            degrade(node, slot, verdict.reason)
        else:
            groups.give_up(node, group, verdict.reason)
        return
    node.budget = verdict.budget
    if group is not None and group.spec.strategy != "one_for_one":
        groups.restart(node, group, slot, verdict.pause_ns)
    elif verdict.pause_ns:
        asyncio.get_running_loop().call_later(verdict.pause_ns / 1e9, _restart, node, slot)
    else:
        _restart(node, slot)


def _restart(node: Node, slot: Slot) -> None:
    if slot.state == "restarting":
        relaunch(node, slot)


def _report(node: Node, slot: Slot, pid: int, ending: Ending, ended: Ended, in_flight: InFlight | None = None) -> None:
    residents = node.directory.in_slot(slot.number)
    facts: dict[str, Any] = {"slot": slot.number, "pid": pid, "reason": ended.reason, "detail": ended.detail}
    words = slot.memory.moves()
    facts |= {"code": ending.code, "signal": _signal_name(ending)}
    if ended.reason == "exception":
        facts["printed"] = os.path.join(node.data, OUTPUT)
    facts |= {"lost": words[PARKED] + words[STANDING], "unsent": words[UNSENT]}
    for resident in residents[:NAMED_MAX]:
        node.event("crashed", resident.name, **facts, **_flight(resident.name, in_flight))
    if len(residents) > NAMED_MAX:
        node.event("crashed", "", **facts, more=len(residents) - NAMED_MAX)


def _flight(engine: str, in_flight: InFlight | None) -> dict[str, object]:
    if in_flight is None or in_flight.engine != engine:
        return {}
    return {"in_flight": {"sender": in_flight.sender, "mailbox": in_flight.mailbox, "n": in_flight.n}}


def _shown(ended: Ended) -> str:
    return f"{ended.reason} ({ended.detail})" if ended.detail else ended.reason


def _signal_name(ending: Ending) -> str | None:
    return None if ending.signal is None else signal.Signals(ending.signal).name
