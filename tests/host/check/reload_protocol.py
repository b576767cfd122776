"""The reload of a slot as engines: a supervisor whose decisions are `host.node.reload_plan.advance`, and two processes.

The processes do what the head of `reload_plan` says of them, and may die at any moment; any stage may be late. The new
one cannot be primed: `slot_reload` explores how the old one passes the slot on itself. Messages from one to another
keep their order, as on a socket; the end of a process is one more message, the last.
"""

from __future__ import annotations

from typing import Any, Literal

from msgspec.structs import replace

from engines.model import Arrived, Become, Effects, Family, Message, Ref, Send, Value, rule
from engines.model.system import Envelope, Member, System
from engines.model.system_view import SystemView
from host.node.reload_plan import Checked, Happening, NewFailed, ReloadState, advance

Sign = Literal[
    "checked",
    "changed",
    "incompatible",
    "recalled",
    "rehearsed",
    "commutes",
    "level",
    "unprimed",
    "halted",
    "taken",
    "loaded",
    "left",
    "went",
    "failed",
    "new ended",
    "old ended",
    "late",
]

HAPPENINGS: dict[str, Happening] = {
    "checked": Checked(),
    "changed": Checked(rehearses=True),
    "recalled": "recalled",
    "rehearsed": "rehearsed",
    "commutes": "commutes",
    "level": "level",
    "unprimed": "unprimed",
    "incompatible": Checked(("it no longer accepts Ping",)),
    "halted": "halted",
    "taken": "snapshot_taken",
    "loaded": "loaded",
    "left": "left",
    "went": "went",
    "failed": NewFailed("it raised"),
    "new ended": NewFailed("it ended", ended=True),
    "old ended": "old_ended",
    "late": "late",
}

ORDERS = {
    "recall": "old",
    "rehearse": "new",
    "follow": "new",
    "prime": "new",
    "freeze": "old",
    "thaw": "old",
    "retire": "old",
    "kill_old": "old",
    "adopt": "new",
    "go": "new",
    "kill_new": "new",
}


class Told(Message):
    """To the supervisor: something happened."""

    sign: Sign


class Order(Message):
    """From the supervisor to a process."""

    word: str


class Work(Message):
    """To a process, from itself or at the beginning: do the next thing that takes time, with this result."""

    result: Sign


class Die(Message):
    """Standing, to a process: it may die now."""


class Desk(Value):
    """State of the supervisor: the plan's fields, how it ended, and whether the slot was started again."""

    stage: str = "importing"
    is_trial: bool = False
    old_gone: bool = False
    new_gone: bool = False
    verdict: str = ""
    restarted: str = ""


class Process(Value):
    """State of a process: `owns` while it may touch the slot's lanes, `is_alive` until its end was sent."""

    owns: bool
    is_alive: bool = True
    is_frozen: bool = False


LATE_MAX = 2
"""How often a deadline passes, at any moments: each time in one stage twice is the most that its plan tells apart."""

SUPERVISOR = Ref[Told]("supervisor")


@rule
def decide(told: Told, t: Arrived[Told, None, Desk]) -> Effects[Desk, Order]:
    """State: as the plan. Messages: its commands, to the processes. Timers, engines: none."""
    desk = t.env.state
    plan = ReloadState(desk.stage, desk.is_trial, desk.old_gone, desk.new_gone)  # type: ignore[arg-type]
    step = advance(plan, HAPPENINGS[told.sign])
    restarted = next((word for word in step.commands if word.startswith("restart")), desk.restarted)
    plan, verdict = step.plan, step.verdict or desk.verdict
    after = Desk(plan.stage, plan.is_trial, plan.old_gone, plan.new_gone, verdict, restarted)
    sends = [Send(Ref[Order](ORDERS[word]), Order(word)) for word in step.commands if word in ORDERS]
    return [Become(after), *sends]


DESK = Family("supervisor", state=Desk(), accepts=Told, emits=Order).rules(decide)


@rule
def obey(order: Order, t: Arrived[Order, None, Process]) -> Effects[Process, Told | Work]:
    """State, messages: by the order; a dead process does nothing. Timers, engines: none."""
    process, me = t.env.state, Ref[Work](t.me.name)
    if not process.is_alive:
        return []
    match order.word:
        case "recall":
            return Send(SUPERVISOR, Told("recalled"))
        case "rehearse":
            return Send(me, Work("commutes"))
        case "follow":
            return Send(me, Work("level"))
        case "prime":
            return Send(me, Work("unprimed"))
        case "freeze":
            return [Become(replace(process, is_frozen=True)), Send(SUPERVISOR, Told("halted")), Send(me, Work("taken"))]
        case "thaw":
            return replace(process, is_frozen=False)
        case "adopt":
            return Send(me, Work("loaded"))
        case "go":
            return [Become(replace(process, owns=True)), Send(SUPERVISOR, Told("went"))]
        case "retire":
            left = Told("left"), Told("old ended")
            return [Become(Process(owns=False, is_alive=False)), *(Send(SUPERVISOR, one) for one in left)]
    return end(t)


def end(t: Arrived[Any, None, Process]) -> Effects[Process, Told | Work]:
    """The process ends, and its end is seen."""
    sign: Sign = "old ended" if t.me.name == "old" else "new ended"
    return [Become(Process(owns=False, is_alive=False)), Send(SUPERVISOR, Told(sign))]


@rule
def work(task: Work, t: Arrived[Work, None, Process]) -> Effects[Process, Told | Work]:
    """Messages: the result, if it lives. State, timers, engines: none."""
    return Send(SUPERVISOR, Told(task.result)) if t.env.state.is_alive else []


@rule
def die(_die: Die, t: Arrived[Die, None, Process]) -> Effects[Process, Told | Work]:
    """State: dead. Messages: its end, once. Timers, engines: none."""
    return end(t) if t.env.state.is_alive else []


PROCESS = Family("process", state=Process(True), accepts=Order | Work | Die, emits=Told | Work).rules(obey, work, die)


def one_owner(view: SystemView) -> bool:
    """At most one process may touch the lanes."""
    return not (view.state("old").owns and view.state("new").owns)


def restart_of_an_empty_slot(view: SystemView) -> bool:
    """The slot is started again only when neither process has it."""
    return not view.state("supervisor").restarted or not (view.state("old").owns or view.state("new").owns)


def refusal_keeps_the_old(view: SystemView) -> bool:
    """After a refusal or a trial the new process never has the slot."""
    return view.state("supervisor").verdict not in ("refused", "tried") or not view.state("new").owns


def is_over(view: SystemView) -> bool:
    """The reload has ended."""
    return bool(view.state("supervisor").verdict)


def refused(view: SystemView) -> bool:
    """It was refused, or only tried."""
    return bool(view.state("supervisor").verdict in ("refused", "tried"))


def old_goes_on(view: SystemView) -> bool:
    """The old process runs, or has died."""
    old = view.state("old")
    return not old.is_alive or not old.is_frozen


def ended_as(verdict: str) -> Any:
    """A property: the reload ended so."""

    def ended(view: SystemView) -> bool:
        return bool(view.state("supervisor").verdict == verdict)

    ended.__name__ = verdict
    return ended


def reload_system(first: Sign = "checked", *, is_trial: bool = False) -> System:
    """A reload, or a trial of one, whose new process reports `first` after its imports. Deadlines pass in the end."""
    messages = [Envelope("new", Work(first), "new"), *[Envelope("supervisor", Told("late"), "clock")] * LATE_MAX]
    return System(
        name="reload",
        members=[
            Member("supervisor", DESK, state=Desk(is_trial=is_trial)),
            Member("old", PROCESS, state=Process(owns=True)),
            Member("new", PROCESS, state=Process(owns=False)),
        ],
        messages=messages,
        standing=[Envelope("old", Die()), Envelope("new", Die())],
        network="ordered",
        always=[one_owner, restart_of_an_empty_slot, refusal_keeps_the_old],
        leads_to=[(refused, old_goes_on)],
    )
