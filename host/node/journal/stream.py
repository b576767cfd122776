"""An engine as its log makes it: environment, marks, waiting mail, numbers, outputs not yet acknowledged.

Pure and mutable: `Replay` applies the records of the engine's stream, in order. Every transition is run again by the
model's `step` and compared with its record. The loop over a run is written for speed; a recovery waits for it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Final

import msgspec

from engines.model import (
    AdoptError,
    AnswerError,
    Choose,
    Committed,
    Configuration,
    Declaration,
    Delivery,
    Due,
    Failed,
    Family,
    Handle,
    Outcome,
    Output,
    Stopped,
    Stored,
    Suspended,
    arrive,
    step,
)
from host.config.engine_values import convert_engine
from host.node.cell import NEVER, bounded
from host.node.journal.digest import Digest
from host.node.journal.layout import Wrong
from host.node.journal.marks import take
from host.node.journal.numbering import Numbers
from host.node.journal.old_rules import Formed, FormWatch, form
from host.node.journal.records import (
    RESULTS,
    TURN,
    AnswerRecord,
    Asked,
    DueTurn,
    Resumed,
    Run,
    SpawnRecord,
    StateDigest,
    StreamImage,
    TurnResult,
)
from host.node.journal.sent import SentOutputs
from host.node.journal.state_digest import Witness, is_comparable
from host.node.journal.waiting import WaitingMail
from host.node.news import Trigger
from host.node.questions import QuestionImage, misfit, question_image

_COMMITTED: Final = int(TurnResult.COMMITTED)
_SKIPPED: Final = int(TurnResult.SKIPPED)


class Diverged(Exception):
    """A transition came out differently from its record. `outputs` are those of the replay."""

    def __init__(self, engine: str, turn: int, recorded: str, found: str, outputs: tuple[Output, ...] = ()) -> None:
        super().__init__(f"{engine}, turn {turn}: recorded {recorded}; the replay gives {found}")
        self.engine = engine
        self.turn = turn
        self.recorded = recorded
        self.found = found
        self.outputs = outputs


class Enough(Exception):
    """The turn asked for is reached."""


class Stream:
    """One engine. `until` is the turn at which `Enough` is raised, before that turn is run again.

    `made` are the outputs of the last turn that had any, `outcome` is that of the last turn which a run did not take in
    its stride; a reader that wants those of one turn resets them before it.
    """

    def __init__(
        self,
        node: str,
        image: StreamImage,
        family: Declaration[Any, Any, Any],
        digest: Digest,
        until: int | None = None,
    ) -> None:
        """Raises as reading an environment of another version does: `AdoptError`, msgspec.ValidationError."""
        cell = image.cell
        if not isinstance(family, Family):
            raise Wrong(f"{cell.name}: {family.name} has no rules, so it has no journal")
        params, _ = convert_engine(family, cell.params, None)
        self.configuration = Configuration[Any](node, cell.name, cell.parent, params, cell.birth)
        self.is_of_other_family = bool(family.ref) and family.ref != cell.family
        is_same = image.code == family.version and not self.is_of_other_family
        self.env: Any = family.load(cell.env) if is_same else family.adopt(cell.env, cell.interface)
        if not is_same and (problem := misfit(family, self.configuration, self.env, cell.question)):
            raise AdoptError(family.name, [problem])
        self.family: Any = bounded(family, cell.mailboxes)
        self.rules: Any = self.family
        self.is_old = False
        self.watch: FormWatch | None = None
        self.name = cell.name
        self.image = image
        self.epoch = image.epoch
        self.turns = self.from_turn = image.turns
        self.clock_ns = image.clock_ns
        self.codes = {image.code}
        self.code = image.code
        self.marks = {(sender, mailbox): (epoch, n) for sender, mailbox, epoch, n in cell.marks}
        self.waiting = WaitingMail(cell.waiting)
        self.outputs = SentOutputs(image, digest)
        self.answers: list[Any] = []
        self.question = cell.question
        self.is_ended = cell.is_ended
        self.handled, self.received, _, self.failed, self.ignored = cell.counters
        self.until = until
        self.witness: Witness | None = None
        self.made: tuple[Output, ...] = ()
        self.outcome: Outcome[Any] | None = None

    # --- records ------------------------------------------------------------------------------------------------------

    def mail(self, arrival: int, sender: str, mailbox: int, epoch: int, first_n: int, payloads: list[Any]) -> str:
        """Take mail; its new messages wait. Returns the verdict if that is "gap" or "old_epoch", else ""."""
        if self.is_ended:
            return ""
        taken = take(self.marks.get((sender, mailbox)), epoch, first_n, len(payloads))
        self.marks[sender, mailbox] = taken.mark
        new = payloads[taken.skip :] if taken.skip else payloads
        if new:
            self.waiting.add(arrival, sender, mailbox, epoch, first_n + taken.skip, new)
            self.received += len(new)
        return taken.verdict if taken.verdict in ("gap", "old_epoch") else ""

    def run(self, run: Run, turns: memoryview) -> None:
        """Run transitions over waiting messages. Raises `Diverged`, `Wrong`, `Enough`."""
        self._run_by(run.code)
        n = run.first_n
        sender, mailbox = run.sender, run.mailbox
        box = self.family.boxes.get(mailbox)
        if box is None:
            raise Wrong(f"{self.name} has no mailbox {mailbox}")
        decode, family, configuration = box.decode, self.rules, self.configuration
        until = self.until
        payloads: list[Any] = []
        at = count = 0
        env, turn = self.env, self.turns
        for now_ns, outputs, result, answers in TURN.iter_unpack(turns):
            if turn == until:
                self.env, self.turns = env, turn
                raise Enough
            if at == count:
                left = run.count - (n - run.first_n)
                payloads, at = self.waiting.take(sender, mailbox, run.epoch, n, left) or [], 0
                if not payloads:
                    raise Wrong(f"{self.name} handled message {n} of {sender}, epoch {run.epoch}, which does not wait")
                count = len(payloads)
            payload = payloads[at]
            at += 1
            n += 1
            turn += 1
            if result == _SKIPPED:
                continue
            try:
                message = decode(payload)
            except msgspec.DecodeError as error:
                raise Diverged(
                    self.name, turn, _recorded(result, outputs), f"a message it cannot read: {error}"
                ) from None
            if answers:
                self.env, self.turns = env, turn
                self._finish(Delivery(sender, mailbox, message), now_ns, self._answers(answers), result, outputs)
                env = self.env
            else:
                outcome = arrive(family, configuration, env, sender, mailbox, message, now_ns)
                if outcome.__class__ is Committed and result == _COMMITTED:
                    found = self._perform(outcome.outputs) if outcome.outputs else 0
                    if found != outputs:
                        self.turns = turn
                        self._diverge(result, outputs, outcome, found)
                    env = outcome.env
                else:
                    self.env, self.turns = env, turn
                    self._settle(Delivery(sender, mailbox, message), now_ns, (), outcome, result, outputs)
                    env = self.env
            if now_ns > self.clock_ns:
                self.clock_ns = now_ns
        self.env = env
        self.handled += run.count
        self.turns = turn

    def use_rules(self, *, old: bool) -> None:
        """Run the turns that come under the rules before there was a value law (`old`), or under the law."""
        self.rules = self.family.under_old_rules() if old else self.family
        self.is_old = self.is_old or old

    def run_watched(self, run: Run, turns: memoryview) -> None:
        """As `run`, with a look at the environment after every turn. Raises as `run`."""
        assert self.watch is not None
        for place in range(run.count):
            n = run.first_n + place
            payload = self.waiting.find(run.sender, run.mailbox, run.epoch, n)
            one = msgspec.structs.replace(run, first_n=n, count=1)
            self.run(one, turns[place * TURN.size : (place + 1) * TURN.size])
            trigger = Trigger(self.name, run.sender, run.mailbox, run.epoch, n)
            self.watch.saw(trigger, payload, self.env, self.turns)

    def form(self) -> Formed:
        """The environment that old turns made, brought to form. Raises `Formless`."""
        return form(self.family, self.env, self.turns)

    def due(self, turn: DueTurn) -> None:
        """Run a transition over elapsed timers. Raises as `run`."""
        self._next_turn(turn.now_ns, turn.code)
        cause = Due(tuple(Handle(name, number) for name, number in turn.handles))
        self._finish(cause, turn.now_ns, self._answers(turn.answers), turn.result, turn.outputs)

    def asked(self, asked: Asked) -> None:
        """Set the deadline of the question that suspends the engine."""
        if self.question is None:
            raise Wrong(f"{self.name} waits for no choice, and has a deadline for one")
        self.question = msgspec.structs.replace(self.question, deadline_ns=_never(asked.deadline_ns))

    def answered(self, answered: AnswerRecord) -> None:
        """Keep an answer for the turn that comes next in the same batch."""
        self.answers.append(answered.answer)

    def resumed(self, resumed: Resumed) -> None:
        """Resume the transition that waited for a choice; it was counted when it began. Raises as `run`."""
        question = self.question
        if question is None:
            raise Wrong(f"{self.name} waits for no choice, and goes on from one")
        self.question = None
        self._run_by(resumed.code)
        self.clock_ns = max(self.clock_ns, resumed.now_ns)
        answers = (*question.answers, *self._answers(resumed.answers - len(question.answers)))
        self._finish(question.cause(self.family.boxes), question.at_ns, answers, resumed.result, resumed.outputs)

    def witnessed(self, record: StateDigest) -> None:
        """Keep the digest of the environment here. One by other code, or of another form of dumps, is passed over."""
        if is_comparable(record) and self.codes == {self.family.version}:
            self.witness = Witness(self.family, self.env, self.turns, record.digest)

    def check_state(self) -> None:
        """Raise `Diverged` if the environment differs from the last digest."""
        witness = self.witness
        if witness is not None and (found := witness.found) != witness.recorded:
            raise Diverged(self.name, witness.turn, f"state {witness.recorded.hex()}", f"state {found.hex()}")

    @property
    def unacked(self) -> dict[tuple[str, int], deque[tuple[int, bytes]]]:
        """Outputs by target and mailbox, as (number, bytes), that may have to be sent again."""
        return self.outputs.unacked

    @property
    def numbers(self) -> Numbers:
        """The next number of each stream it sends on."""
        return self.outputs.numbers

    @property
    def children(self) -> dict[str, SpawnRecord]:
        """Its children that have not ended, by name."""
        return self.outputs.children

    def ended(self) -> None:
        """End the engine, and with it its timers and its mail."""
        self.is_ended = True
        self.question = None

    # --- what it is ---------------------------------------------------------------------------------------------------

    def as_image(self, code: str | None = None) -> StreamImage:
        """The engine as it is now; `code` is the digest of its version, by default its family's."""
        cell = msgspec.structs.replace(
            self.image.cell,
            family=self.family.ref or self.image.cell.family,
            interface=self.family.interface(),
            env=self.family.dump(self.env),
            waiting=self.waiting.images(),
            marks=[(sender, mailbox, epoch, n) for (sender, mailbox), (epoch, n) in self.marks.items()],
            ways=self.outputs.numbers.ways(),
            ways_from_n=self.outputs.numbers.from_n,
            question=self.question,
            counters=(self.handled, self.received, self.outputs.count, self.failed, self.ignored),
            is_ended=self.is_ended,
        )
        return msgspec.structs.replace(
            self.image,
            why="snapshot",
            cell=cell,
            epoch=self.epoch,
            turns=self.turns,
            code=self.family.version if code is None else code,
            clock_ns=self.clock_ns,
            unacked=self.outputs.images(),
            children=list(self.outputs.children.values()),
        )

    @property
    def is_by_other_code(self) -> bool:
        """Whether the turn at hand was made by another version than the one loaded here."""
        return bool(self.code != self.family.version)

    def _run_by(self, code: str) -> None:
        self.code = code
        self.codes.add(code)

    # --- transitions --------------------------------------------------------------------------------------------------

    def _next_turn(self, now_ns: int, code: str) -> None:
        if self.turns == self.until:
            raise Enough
        self.turns += 1
        self._run_by(code)
        self.clock_ns = max(self.clock_ns, now_ns)

    def _answers(self, count: int) -> tuple[Any, ...]:
        if len(self.answers) != count:
            raise Wrong(f"{self.name} was given {len(self.answers)} answers, and a turn had {count}")
        answers, self.answers = tuple(self.answers), []
        return answers

    def _finish(
        self, cause: Delivery[Any] | Due, at_ns: int, answers: tuple[Any, ...], result: int, outputs: int
    ) -> None:
        outcome: Outcome[Any]
        try:
            outcome = step(self.rules, self.configuration, self.env, cause, at_ns, answers)
        except AnswerError as error:
            outcome = Failed(str(error), "")
        self._settle(cause, at_ns, answers, outcome, result, outputs)

    def _settle(
        self,
        cause: Delivery[Any] | Due,
        at_ns: int,
        answers: tuple[Any, ...],
        outcome: Outcome[Any],
        result: int,
        outputs: int,
    ) -> None:
        """Apply an outcome, once it agrees with the recorded one."""
        self.outcome = outcome
        found = self._perform(outcome.outputs) if isinstance(outcome, Committed) and outcome.outputs else 0
        if RESULTS[type(outcome)] != result or found != outputs:
            self._diverge(result, outputs, outcome, found)
        match outcome:
            case Committed(env, _, _, ignored):
                self.env = env
                self.ignored += ignored
            case Stored(env):
                self.env = env
            case Suspended(question):
                self.question = self._stands(cause, at_ns, answers, question)
            case Failed():
                self.failed += 1
                self._end_timers(cause)
            case _:
                self._end_timers(cause)

    def _end_timers(self, cause: Delivery[Any] | Due) -> None:
        """Timers that failed are elapsed, like any others."""
        if isinstance(cause, Due):
            timers = self.env.timers
            for handle in cause.handles:
                timers = timers.without(handle.name)
            self.env = self.env.with_timers(timers)

    def _stands(self, cause: Delivery[Any] | Due, at_ns: int, answers: tuple[Any, ...], question: Any) -> QuestionImage:
        if not isinstance(question, Choose):
            raise Wrong(f"{self.name} waits for a roll, which is answered at once")
        return question_image(cause, at_ns, answers, question, _never(None))

    def _perform(self, outputs: tuple[Output, ...]) -> int:
        """Apply outputs to the stream; returns their checksum."""
        self.made = outputs
        if outputs[-1].__class__ is Stopped:
            self.ended()
        return self.outputs.perform(outputs)

    def _diverge(self, result: int, outputs: int, outcome: Outcome[Any], found: int) -> None:
        made = outcome.outputs if isinstance(outcome, Committed) else ()
        detail = f": {outcome.error}" if isinstance(outcome, Failed) else ""
        text = _recorded(RESULTS[type(outcome)], found) + detail
        raise Diverged(self.name, self.turns, _recorded(result, outputs), text, made)


def make_stream(
    node: str,
    image: StreamImage,
    load: Callable[[str], Declaration[Any, Any, Any]],
    digest: Digest,
    until: int | None = None,
    family: str = "",
) -> Stream:
    """The engine of an image, with its own family or another one. Raises what loading raises, and as `Stream`."""
    return Stream(node, image, load(family or image.cell.family), digest, until)


def _recorded(result: int, outputs: int) -> str:
    name = TurnResult(result).name.lower() if result in TurnResult.__members__.values() else f"result {result}"
    return f"{name} with outputs {outputs:08x}" if outputs else name


def _never(deadline_ns: int | None) -> int:
    return NEVER if deadline_ns is None else deadline_ns
