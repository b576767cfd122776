"""A counterexample as the logs of a node, so that the commands which read a journal show how it came about.

Its steps are run again by the transitions of a live slot (`host.node.turns`), and the recorder of a live slot writes
them (`host.node.journaled.keeping`): one log for each engine of the system, children in that of their parent. After
each step the engine is compared with the one the checker found; a difference raises `CheckError`.

What a log says where a check says less, or something else:

* Engines count as durable (`crash`). A node fault of a volatile one is a new beginning (an image, the next birth).
* Under untimed timers the clock of an engine goes to the deadline of the timer that elapses. A rule that reads the
  clock then does something else than in the check, which is refused.
* A die falls as soon as it rolls. One that rolls at the end of the way leaves its message waiting.
* What is in transit at the end is what a live node would send again: outputs without an acknowledgement. So is a lost
  message.
* Of a way that goes round for ever, the first round.

Refused, because no live node makes it: a message that overtakes another one of the same sender to the same mailbox, a
message that is taken twice, a message in the name of an engine that its rules did not send.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Final

import msgspec

from engines.model import (
    Configuration,
    Environment,
    Family,
    Handle,
    LoadError,
    Outgoing,
    Roll,
    Spawned,
    due_timers,
    encode,
    load_family,
)
from engines.model.system_view import EngineView, engine_view
from host.check.local import AnyFamily, CheckError, LocalState, answers_of
from host.check.space import FIRST, ROSTER, Space, State, Successor
from host.check.trace import Trace, headline, shown_message
from host.check.under_way import UnderWay, Unlike, flow_of
from host.config.spec import MailboxSpec
from host.node.cell import NEVER, Cell, new_cell
from host.node.deadlines import Deadlines
from host.node.journal.marks import epoch_before
from host.node.journal.numbering import Numbers
from host.node.journaled.keeping import EngineRecorder, Keeping
from host.node.mailbox import Batch
from host.node.progress import Tally, Unseen
from host.node.recorder import NumberedMessage
from host.node.report import Report
from host.node.turns import Turns

EPOCH: Final = epoch_before(1) + 1
"""That of all streams: there is one life."""


def record(space: Space, trace: Trace, open_log: Callable[[str], Keeping]) -> None:
    """Write the steps of a trace into the logs that `open_log` begins, one for each engine. Raises `CheckError`."""
    _Recorded(space, trace, open_log).run()


class _Recorded:
    """Mutable. `_ends` are the engines where the transition at hand ends, by its dice."""

    def __init__(self, space: Space, trace: Trace, open_log: Callable[[str], Keeping]) -> None:
        deadlines = Deadlines()
        deadlines.earliest = NEVER - 1  # the clock is read before each transition
        self._turns = Turns(lambda: self._now_ns, self._fall, Unseen(), Report(), deadlines, Tally())
        self._space = space
        self._trace = trace
        self._open_log = open_log
        self._logs: dict[str, Keeping] = {}
        self._cells: dict[str, Cell] = {}
        self._clocks: dict[str, int] = {}
        self._mail = UnderWay(trace.steps)
        self._ends: dict[str, LocalState] = {}
        self._now_ns = space.system.clock_ns
        self._falls: deque[int] = deque()
        self._at = 0

    def run(self) -> None:
        """All of it."""
        self._begin()
        state = self._trace.initial
        for at, step in enumerate(self._trace.steps):
            self._at = at
            try:
                self._step(step, self._locals(state), self._locals(step.state))
            except Unlike as error:
                raise CheckError(f"no journal: step {at + 1} ({headline(step)}): {error}") from None
            state = step.state

    def _step(self, step: Successor, before: dict[str, LocalState], after: dict[str, LocalState]) -> None:
        if step.kind == "lose":
            self._taken(step)
            return
        name = step.engine
        self._now_ns = self._clocks[name]
        if self._perform(step, before[name], after):
            self._leave()
            self._compare(name, after[name])
        self._clocks[name] = max(self._clocks[name], self._now_ns, after[name].clock_ns)

    # --- births -------------------------------------------------------------------------------------------------------

    def _begin(self) -> None:
        """The engines of the system, and what they sent before it begins."""
        found = self._locals(self._trace.initial)
        for envelope in self._space.system.standing:
            if envelope.sender in found:
                what = f"{shown_message(envelope.message)} in the name of {envelope.sender}"
                raise CheckError(f"no journal: a log has of an engine only what its rules sent, and not {what}")
        numbers = {name: Numbers() for name in found}
        sent = [one for one in self._space.system.messages if one.sender in found]
        letters = [(one, numbers[one.sender].number(one.target, one.mailbox)) for one in sent]
        for name, local in found.items():
            kept = self._born(local, self._open_log(name), numbers[name])
            for envelope, n in letters:
                if envelope.sender == name:
                    kept.keep((envelope.target, envelope.mailbox), n, encode(envelope.message))
                    self._mail.leave(flow_of(envelope), n, encode(envelope.message))
            self._logs[name].log.record(name, kept.image("birth", local.clock_ns))

    def _born(self, local: LocalState, log: Keeping, numbers: Numbers) -> EngineRecorder:
        """The cell of an engine, with a recorder. Its image is left to the caller."""
        cell = _cell(local.family, local.configuration, local.env)
        kept = EngineRecorder(cell, "crash", EPOCH, 0, numbers)
        self._take(kept, log, local.clock_ns)
        return kept

    def _take(self, kept: EngineRecorder, log: Keeping, clock_ns: int) -> None:
        cell, name = kept.cell, kept.cell.name
        cell.notify, cell.poison = _driven, "skip"
        log.take_over(kept)
        self._logs[name], self._cells[name] = log, cell
        self._clocks[name] = max(self._clocks.get(name, 0), clock_ns)

    def _follow(self, name: str, cell: Cell, why: Any) -> None:
        """Go on with another cell in the place of one, whose streams it keeps."""
        before = self._logs[name].kept[name]
        cell.marks = before.cell.marks
        kept = EngineRecorder(cell, before.mode, EPOCH, before.turns, before.numbers)
        kept.unacked, kept.unacked_bytes = before.unacked, before.unacked_bytes
        kept.children = {} if why == "again" else before.children
        self._take(kept, self._logs[name], self._now_ns)
        self._logs[name].log.record(name, kept.image(why, self._now_ns))

    # --- steps --------------------------------------------------------------------------------------------------------

    def _perform(self, step: Successor, before: LocalState, after: dict[str, LocalState]) -> bool:
        """Do what a step does; returns whether its engine can then be compared. Raises `Unlike`."""
        match step.kind:
            case "crash":
                self._crash(step.engine, after)
            case "reload":
                self._reload(step.engine, before.family, after[step.engine].family)
            case "answer":
                return self._answer(step, before, after)
            case "deliver":
                return self._deliver(step, after)
            case _:
                return self._elapse(step, before, after)
        return True

    def _deliver(self, step: Successor, after: dict[str, LocalState]) -> bool:
        envelope = step.envelope
        assert envelope is not None
        cell = self._cells[step.engine]
        n, payload = self._taken(step)
        assert cell.recorder is not None
        cell.recorder.mail(envelope.sender, envelope.mailbox, EPOCH, n, [payload])
        cell.take(envelope.sender, envelope.mailbox, EPOCH, n, 1)
        inbox = cell.inboxes[envelope.mailbox]
        inbox.add(Batch(self._at, envelope.sender, EPOCH, n, [payload], True))
        if not self._foresee(step.engine, after):
            return False
        self._turns.run_mail(cell, inbox, self._now_ns)
        return True

    def _elapse(self, step: Successor, before: LocalState, after: dict[str, LocalState]) -> bool:
        """Timers elapse, or time only passes."""
        assert step.reaction is not None
        cell, env = self._cells[step.engine], self._cells[step.engine].env
        if step.reaction.after.clock_ns != before.clock_ns:
            return False
        if not self._foresee(step.engine, after):
            return False
        if self._space.engines.timers == "untimed":
            timer = env.timers[step.reaction.what]
            self._now_ns = max(self._now_ns, timer.deadline_ns)
            handles: tuple[Handle, ...] = (Handle(step.reaction.what, timer.number),)
        else:
            handles = due_timers(env, self._now_ns)
        self._turns.elapse(cell, handles, self._now_ns)
        return True

    def _answer(self, step: Successor, before: LocalState, after: dict[str, LocalState]) -> bool:
        cell, answer = self._cells[step.engine], _answer_of(step, before)
        if isinstance(before.question, Roll):
            return True  # it fell when it was rolled
        assert cell.suspension is not None
        if not self._foresee(step.engine, after):
            return False
        if answer is None and cell.suspension.deadline_ns != NEVER:
            self._now_ns = max(self._now_ns, cell.suspension.deadline_ns)
        self._turns.resume(cell, cell.suspension, answer)
        return True

    def _crash(self, name: str, after: dict[str, LocalState]) -> None:
        """A node fault: the engine begins anew, and its descendants end."""
        if self._cells[name].suspension is None and self._cells[name].depth:
            raise Unlike("it comes while a die rolls, and in a log the message is then handled again")
        for other, local in after.items():
            cell = self._cells.get(other)
            if cell is not None and local.status == "stopped" and not cell.is_ended:
                cell.is_ended, cell.suspension = True, None
                assert cell.recorder is not None
                cell.recorder.ended()
        local = after[name]
        self._follow(name, _cell(local.family, local.configuration, local.env), "again")

    def _reload(self, name: str, old: AnyFamily, new: AnyFamily) -> None:
        if new is old:
            return  # it was refused
        cell = self._cells[name]
        env = new.adopt(old.dump(cell.env), old.interface())
        self._follow(name, _cell(new, cell.configuration, env), "version")

    # --- dice ---------------------------------------------------------------------------------------------------------

    def _foresee(self, name: str, after: dict[str, LocalState]) -> bool:
        """Find out how the dice of a transition fall, and where it ends; False: the way ends before that."""
        self._falls.clear()
        steps = iter(self._trace.steps[self._at + 1 :])
        while isinstance(after[name].question, Roll):
            step = next((one for one in steps if one.engine == name), None)
            if step is None or step.kind != "answer":
                return False
            answer = _answer_of(step, after[name])
            if not isinstance(answer, int):
                raise Unlike("its die does not fall in time, and a live node rolls it at once")
            self._falls.append(answer)
            after = self._locals(step.state)
        self._ends = after
        return True

    def _fall(self, sides: int) -> int:
        return self._falls.popleft() - 1

    # --- messages -----------------------------------------------------------------------------------------------------

    def _taken(self, step: Successor) -> tuple[int, bytes]:
        """The message of a step, with its number: it is under way no more. Raises `Unlike`."""
        envelope, is_lost = step.envelope, step.kind == "lose"
        assert envelope is not None
        if envelope.sender not in self._cells:
            return self._mail.from_outside(envelope)
        n, payload = self._mail.take(self._at, envelope, is_lost=is_lost)
        kept = self._logs[envelope.sender].of(envelope.sender)
        if not is_lost and kept is not None:
            kept.settled(envelope.target, envelope.mailbox, n)
        return n, payload

    def _leave(self) -> None:
        """What the last transition made: births, messages, an end."""
        made, self._turns.outputs[:] = [*self._turns.outputs], []
        for cell, outputs in made:
            for output in outputs:
                if isinstance(output, Spawned) and output.name not in self._cells:
                    log = self._logs[cell.name]
                    kept = self._born(self._ends[output.name], log, Numbers())
                    log.log.record(output.name, kept.image("birth", self._now_ns))
                elif isinstance(output, Outgoing):
                    self._sent(cell, output)
            if cell.is_ended:
                assert cell.recorder is not None
                cell.recorder.ended()

    def _sent(self, cell: Cell, output: Outgoing) -> None:
        assert isinstance(output.message, NumberedMessage)
        n, payload = output.message.n, encode(output.message.message)
        if output.target in self._space.system.outsiders:
            assert cell.recorder is not None
            cell.recorder.settled(output.target, output.mailbox, n)
        else:
            self._mail.leave((cell.name, output.target, output.mailbox), n, payload)

    # --- what the checker says ----------------------------------------------------------------------------------------

    def _locals(self, state: State) -> dict[str, LocalState]:
        names, known = self._space.rosters[state[ROSTER]].names, self._space.parts.locals
        return {name: known[number] for name, number in zip(names, state[FIRST:], strict=True)}

    def _compare(self, name: str, local: LocalState) -> None:
        """Raise `Unlike` if an engine is not what the checker says; one whose die rolls is ahead of that."""
        cell = self._cells[name]
        mine = _looks(cell.configuration, cell.family, cell.env, _status(cell))
        theirs = _looks(local.configuration, local.family, local.env, local.status)
        if mine != theirs and not isinstance(local.question, Roll):
            why = "the clock in a log goes on while timers elapse: try --timers bounded"
            raise Unlike(f"{name} does something else, and {why}")


def _looks(*of: Any) -> EngineView:
    view = engine_view(*of)
    return msgspec.structs.replace(view, timers=tuple(sorted(view.timers)))


def _status(cell: Cell) -> str:
    return "stopped" if cell.is_ended else "running" if cell.suspension is None else "suspended"


def _answer_of(step: Successor, before: LocalState) -> Any:
    """The answer that a step gives to the question of an engine."""
    assert step.reaction is not None
    what = step.reaction.what
    return next(one for one in answers_of(before) if what == ("time-out" if one is None else repr(one)))


def _cell(family: AnyFamily, configuration: Configuration[Any], env: Environment[Any]) -> Cell:
    """An engine as a live slot has it, with the bounds of a node file. Raises `CheckError` for a nameless family."""
    try:
        found = load_family(family.ref) if family.ref else None
    except LoadError as error:
        raise CheckError(f"no journal: {error}") from None
    if not isinstance(found, Family):
        raise CheckError(
            f"no journal: a replay finds families by module and name, and {family.name} is held by no module: "
            "give it a name at the top level of one"
        )
    bounds = {number: box.stored_max for number, box in family.boxes.items()}
    others = {number: bound for number, bound in bounds.items() if bound != found.boxes[number].stored_max}
    mailboxes = {number: MailboxSpec(stored_max=bound) for number, bound in others.items()}
    return new_cell(found, configuration, env, mailboxes)


def _driven() -> None:
    """The driver of an engine here is the trace."""
