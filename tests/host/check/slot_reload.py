"""A slot whose code is replaced while mail comes, as a plain transition system over `host.node.slot_plan.advance`.

The supervisor feeds the machine with what it hears, and performs its commands as `host.live.supervisor.perform` and
`reload` do. Processes do what the head of `reload_plan` says of them. One may die at any moment, `deaths` times in all,
the candidate may be unfit or fail in each of its stages, and a deadline may pass at any time. Words of one process
arrive in order, its end last. A process that dies is buried, and the verdict on a crash is another start, at once.

Mail waits in the lane of its sender, or in the memory of the process that took it; there an armed timer is, too. What a
snapshot holds, the candidate gets.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain
from typing import Final

import msgspec
from msgspec.structs import replace

from engines.model import Map
from engines.model.transition_system import PlainStep, TransitionSystem
from host.node import slot_plan
from host.node.reload_plan import Checked, NewFailed, ReloadState
from host.node.slot_state import Bury, Conclude, Crossing, ProcessEnded, SlotCommand, SlotHappening, SlotState, SlotStep
from host.node.supervision import Budget, Ending, History, Restart

Advance = Callable[[SlotState, SlotHappening], SlotStep]

MAIL: Final = ((1, 2),)
"""The messages that come, by sender."""

TIMER: Final = 0
"""Stands for a timer that elapses, among messages that are handled."""

WORDS: Final[dict[str, SlotHappening]] = {
    "ready": "engines_ready",
    "fit": Checked(),
    "changed": Checked(rehearses=True),
    "recalled": "recalled",
    "rehearsed": "rehearsed",
    "commutes": "commutes",
    "level": "level",
    "primed": "primed",
    "unprimed": "unprimed",
    "took": "took",
    "not passed": "not_passed",
    "unfit": Checked(("it no longer accepts Ping",)),
    "halted": "halted",
    "taken": "snapshot_taken",
    "loaded": "loaded",
    "left": "left",
    "went": "went",
    "failed": NewFailed("it raised"),
}
"""What a process says, beside that it ended (`ends`, `exits`)."""

ADDRESSEES: Final = {
    "recall": "old",
    "rehearse": "new",
    "follow": "new",
    "prime": "new",
    "pass": "old",
    "freeze": "old",
    "thaw": "old",
    "retire": "old",
    "adopt": "new",
    "go": "new",
    "kill_new": "new",
}

KILLED: Final = Ending(signal=9)

NOTHING: Final[tuple[tuple[int, ...], tuple[int, ...]]] = ((), ())
"""No mail, no timer."""


class Body(msgspec.Struct, frozen=True):
    """A process. `runs` while it may touch the lane; `todo` is what it was told, in order, `said` what is under way."""

    code: str
    runs: bool = False
    is_alive: bool = True
    is_frozen: bool = False
    parked: tuple[int, ...] = ()
    armed: tuple[int, ...] = ()
    todo: tuple[str, ...] = ()
    said: tuple[str, ...] = ()


class Node(msgspec.Struct, frozen=True):
    """The machine, the processes, and where each message is.

    `mail` are the messages that come, `lanes` those that are still there; a `snapshot` has mail and timer. `owner` has
    the slot, as the supervisor knows it; `code` is the version that a start would run. `mourned` are messages that a
    process had in memory when it died, or was killed: they may be lost. `has_token`: a primed candidate may take the
    slot; `is_taken`: it did.
    """

    slot: SlotState
    bodies: Map[str, Body]
    owner: str = "old"
    code: str = "old"
    mail: tuple[tuple[int, ...], ...] = MAIL
    lanes: tuple[tuple[int, ...], ...] = MAIL
    snapshot: tuple[tuple[int, ...], tuple[int, ...]] = NOTHING
    handled: tuple[int, ...] = ()
    mourned: tuple[int, ...] = ()
    deaths: int = 0
    verdict: str = ""
    has_token: bool = True
    is_taken: bool = False

    def with_body(self, name: str, **changes: object) -> Node:
        """The node with a process changed."""
        return replace(self, bodies=self.bodies.set(name, replace(self.bodies[name], **changes)))


class SlotReload:
    """The steps; `advance` is the machine, `deaths` how many processes die of themselves, `imports` what may come of
    an import."""

    def __init__(
        self, advance: Advance, deaths: int, imports: tuple[str, ...] = ("fit", "changed", "unfit", "failed")
    ) -> None:
        self._advance = advance
        self._deaths = deaths
        self._imports = imports

    def steps(self, node: Node) -> Iterator[PlainStep[Node]]:
        """What the supervisor hears, a deadline that passes, and what each process may do."""
        for name, body in node.bodies.items():
            if body.said:
                heard = node.with_body(name, said=body.said[1:])
                after = heard
                if name != "old" or node.owner == "old" or body.said[0] not in ("ends", "exits"):
                    after = self.feed(heard, self._happening(node, name, body.said[0]))
                yield PlainStep(f"the supervisor hears {name}: {body.said[0]}", after)
            if body.is_alive:
                yield from self._lives(node, name, body)
                if node.deaths < self._deaths:
                    died = died_of(replace(node, deaths=node.deaths + 1), name, "ends")
                    yield PlainStep(f"{name} dies", died, is_owed=False)
        if node.slot.crossing is not None:
            yield PlainStep("the deadline of the stage passes", self.feed(node, "late"))

    # --- the supervisor -----------------------------------------------------------------------------------------------

    def _happening(self, node: Node, name: str, word: str) -> SlotHappening:
        if word not in ("ends", "exits"):
            return WORDS[word]
        ending = KILLED if word == "ends" else Ending(code=0)
        return ProcessEnded(7 if name == "old" else 8, ending, owned=name == node.owner)

    def feed(self, node: Node, happening: SlotHappening) -> Node:
        """The machine gets a happening, and its commands are performed."""
        step = self._advance(node.slot, happening)
        node = replace(node, slot=step.slot)
        for command in step.commands:
            node = self._perform(node, command)
        return node

    def _perform(self, node: Node, command: SlotCommand) -> Node:
        match command:
            case "go":
                return told(replace(node, owner="new", code="new"), "new", "go")
            case "kill_new":
                node = replace(node, code="new") if node.is_taken else replace(node, has_token=False)
                return died_of(node, "new", "ends")
            case "withdraw":
                return self.feed(replace(node, has_token=False), "taken" if node.is_taken else "withdrawn")
            case "own":
                node = node.with_body("old", parked=(), armed=())  # the new process has them
                return died_of(replace(node, owner="new", code="new"), "old", "ends")
            case "kill":
                return died_of(node, node.owner, "ends")
            case "enforce":
                return replace(node, code="new")
            case "relaunch":
                body = Body(node.code, runs=True, said=("ready",))
                return replace(node, bodies=node.bodies.set("next", body), owner="next", snapshot=NOTHING)
            case Conclude(verdict):
                return replace(node, verdict=verdict, snapshot=NOTHING)
            case Bury():
                return self.feed(node, Restart(0, History(), Budget()))
            case str() if command in ADDRESSEES:
                return told(node, ADDRESSEES[command], command)
        return node

    # --- processes ----------------------------------------------------------------------------------------------------

    def _lives(self, node: Node, name: str, body: Body) -> Iterator[PlainStep[Node]]:
        """What a living process may do next."""
        if body.todo:
            yield from self._obeys(node.with_body(name, todo=body.todo[1:]), name, body.todo[0])
        if body.runs and not body.is_frozen:
            for sender, lane in enumerate(node.lanes):
                if lane:
                    lanes = (*node.lanes[:sender], lane[1:], *node.lanes[sender + 1 :])
                    taken = replace(node, lanes=lanes).with_body(name, parked=(*body.parked, lane[0]))
                    yield PlainStep(f"{name} takes message {lane[0]}", taken)
            if body.armed:
                elapsed = replace(node, handled=(*node.handled, TIMER)).with_body(name, armed=())
                yield PlainStep(f"the timer of {name} elapses", elapsed)
            if body.parked:
                handled = replace(node, handled=(*node.handled, body.parked[0]))
                yield PlainStep(
                    f"{name} handles message {body.parked[0]}", handled.with_body(name, parked=body.parked[1:])
                )

    def _obeys(self, node: Node, name: str, order: str) -> Iterator[PlainStep[Node]]:
        match order:
            case "check":
                for word in self._imports:
                    yield PlainStep(f"new imports the code: {word}", says(node, name, word))
            case "recall":
                yield PlainStep("old hands out its last triggers", says(node, name, "recalled"))
            case "rehearse":
                for word in ("rehearsed", "commutes", "failed"):
                    yield PlainStep(f"new runs the last triggers: {word}", says(node, name, word))
            case "follow":
                for word in ("level", "rehearsed", "failed"):
                    yield PlainStep(f"new follows the log: {word}", says(node, name, word))
            case "prime":
                for word in ("primed", "unprimed", "failed"):
                    yield PlainStep(f"new maps the lanes: {word}", says(node, name, word))
            case "pass":
                body = node.bodies[name]
                passed = replace(node, snapshot=(body.parked, body.armed))
                passed = passed.with_body(name, runs=False, is_frozen=True)
                yield PlainStep("old passes the slot on", told(passed, "new", "take"))
            case "take":
                if not node.has_token:
                    yield PlainStep("new finds no token", node)
                    return
                parked, armed = node.snapshot
                taken = replace(node, has_token=False, is_taken=True).with_body(name, parked=parked, armed=armed)
                yield PlainStep("new takes the slot", told(taken.with_body(name, runs=True), name, "report"))
                yield PlainStep("new finds another outcome", says(node, name, "failed"), is_owed=False)
            case "give_up":
                yield PlainStep("new sees that old ended", says(node, name, "not passed"))
            case "report":
                yield PlainStep("new reports", says(says(node, name, "took"), name, "went"))
            case "freeze":
                frozen = says(node.with_body(name, is_frozen=True), name, "halted")
                yield PlainStep("old stops at a boundary", told(frozen, name, "dump"))
            case "dump":
                body = node.bodies[name]
                held = (body.parked, body.armed) if body.is_frozen else NOTHING
                yield PlainStep("old hands out its state", says(replace(node, snapshot=held), name, "taken"))
            case "thaw":
                yield PlainStep("old thaws", node.with_body(name, is_frozen=False, runs=True))
            case "adopt":
                parked, armed = node.snapshot
                loaded = says(node.with_body(name, parked=parked, armed=armed), name, "loaded")
                yield PlainStep("new loads the state", loaded)
                yield PlainStep("new cannot load the state", says(node, name, "failed"), is_owed=False)
            case "retire":
                left = says(node.with_body(name, runs=False, parked=(), armed=()), name, "left")
                yield PlainStep("old lets go", told(left, name, "exit"))
            case "exit":
                yield PlainStep("old exits", exited(node, name))
            case "go":
                yield PlainStep("new runs", says(node.with_body(name, runs=True), name, "went"))


def told(node: Node, name: str, order: str) -> Node:
    """An order for a process; a dead one hears nothing."""
    body = node.bodies[name]
    return node.with_body(name, todo=(*body.todo, order)) if body.is_alive else node


def says(node: Node, name: str, word: str) -> Node:
    """A word of a process to the supervisor."""
    return node.with_body(name, said=(*node.bodies[name].said, word))


def exited(node: Node, name: str) -> Node:
    """A process exits in order, with what it has in memory."""
    dead = node.with_body(name, is_alive=False, runs=False, is_frozen=False, parked=(), armed=(), todo=())
    return says(dead, name, "exits")


def died_of(node: Node, name: str, word: str) -> Node:
    """A process dies, or is killed."""
    body = node.bodies[name]
    if not body.is_alive:
        return node
    if name == "old" and "pass" in body.todo:
        node = told(node, "new", "give_up")
    dead = node.with_body(name, is_alive=False, runs=False, is_frozen=False, parked=(), armed=(), todo=())
    return says(replace(dead, mourned=tuple(sorted({*node.mourned, *body.parked, *body.armed}))), name, word)


def places(node: Node) -> list[int]:
    """Each message and the timer, once for each place in which it waits to be handled, or was."""
    parked = [one for body in node.bodies.values() for one in (*body.parked, *body.armed)]
    return [*chain(*node.lanes, *node.snapshot), *node.handled, *parked]


# --- what holds -------------------------------------------------------------------------------------------------------


def one_version_runs(node: Node) -> bool:
    """At most one process touches the lane: old and new would do so in one epoch, and nobody could tell them apart."""
    return sum(body.runs for body in node.bodies.values()) <= 1


def no_message_is_handled_twice(node: Node) -> bool:
    """No message is handled twice, and no timer elapses twice, by whichever process."""
    return len(set(node.handled)) == len(node.handled)


def each_sender_is_heard_in_order(node: Node) -> bool:
    """The messages of a sender are handled in their order."""
    handled = [[one for one in node.handled if one in sent] for sent in node.mail]
    return handled == [sorted(one) for one in handled]


def mail_survives(node: Node) -> bool:
    """A message is lost with a process that died, if at all."""
    return {*chain(*node.mail)} <= {*places(node), *node.mourned}


def timer_survives(node: Node) -> bool:
    """The timer is lost with a process that died, if at all."""
    return TIMER in places(node) or TIMER in node.mourned


def starts_in_an_empty_slot(node: Node) -> bool:
    """A process is started only after all others that could run are dead."""
    others = [body for name, body in node.bodies.items() if name != "next" and body.is_alive]
    could = (body.runs or "go" in body.todo or ("take" in body.todo and node.has_token) for body in others)
    return "next" not in node.bodies or not any(could)


def is_concluded(node: Node) -> bool:
    """The reload has ended: the old code runs, or the new code, or another process was started."""
    return bool(node.verdict)


def one_runs_at_last(node: Node) -> bool:
    """After the verdict exactly one process runs, and it is not frozen; no candidate is left over."""
    living = [body for body in node.bodies.values() if body.is_alive]
    return is_concluded(node) and len(living) == 1 and living[0].runs and not living[0].is_frozen


def all_is_handled(node: Node) -> bool:
    """All mail is handled, but for what died."""
    return {*chain(*node.mail)} <= {*node.handled, *node.mourned}


def ended_as(verdict: str) -> Callable[[Node], bool]:
    """A property: the reload ended so."""

    def ended(node: Node) -> bool:
        return node.verdict == verdict

    ended.__name__ = verdict
    return ended


def SYSTEM(
    deaths: int = 1,
    advance: Advance = slot_plan.advance,
    *,
    is_trial: bool = False,
    mail: tuple[tuple[int, ...], ...] = MAIL,
    has_timer: bool = False,
) -> TransitionSystem[Node]:
    """A reload that has just begun, or a trial of one; `has_timer`: with a timer that is armed."""
    slot = SlotState("running", "there", crossing=Crossing(ReloadState(is_trial=is_trial)))
    armed = (TIMER,) if has_timer else ()
    bodies = Map([("old", Body("old", runs=True, armed=armed)), ("new", Body("new", todo=("check",)))])
    kept = [mail_survives, timer_survives] if has_timer else [mail_survives]
    return TransitionSystem(
        name="slot-reload",
        initial=Node(slot, bodies, mail=mail, lanes=mail),
        steps=SlotReload(advance, deaths).steps,
        always=[
            one_version_runs,
            no_message_is_handled_twice,
            each_sender_is_heard_in_order,
            *kept,
            starts_in_an_empty_slot,
        ],
        sometimes=[ended_as("tried" if is_trial else "switched"), ended_as("refused"), ended_as("crashed")],
        eventually=[is_concluded, one_runs_at_last, all_is_handled],
    )
