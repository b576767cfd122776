"""An engine as its log makes it: a cell, and the recorder that keeps its outputs not yet acknowledged.

Mutable: `Replay` applies the records of the engine's stream, in order. Each transition is run again as in a live slot,
and compared with its record (`checking`). Once the log is read, `go_on` makes it an engine like any other.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

import msgspec

from engines.model import Committed, Declaration, Delivery, Environment, Family, Handle, Outcome, Output, encode
from host.node.cell import NEVER, STRIDE_MIN
from host.node.journal.checking import Checking, Diverged
from host.node.journal.layout import Wrong
from host.node.journal.numbering import Numbers
from host.node.journal.old_rules import FormWatch
from host.node.journal.records import TURN, Asked, DueTurn, Resumed, Run, StateDigest, StreamImage, TurnResult
from host.node.journal.state_digest import Witness, is_comparable
from host.node.journaled.keeping import EngineRecorder
from host.node.mailbox import Batch, Inbox
from host.node.news import Trigger
from host.node.snapshot import read_cell, revived_cell

_SKIPPED: Final = int(TurnResult.SKIPPED)
_RESULT: Final = 12
"""Place of the result in a `TURN`."""


class Enough(Exception):
    """The turn asked for is reached."""


class Stream:
    """One engine. `until` is the turn at which `Enough` is raised, before that turn is run again.

    `answers` are those of the turn that comes next in the same batch.
    """

    __slots__ = (
        "_checking",
        "_node",
        "_poison",
        "answers",
        "cell",
        "clock_ns",
        "code",
        "codes",
        "env_bytes",
        "family",
        "from_turn",
        "image_turn",
        "is_of_other_family",
        "is_old",
        "kept",
        "name",
        "until",
        "watch",
        "witness",
    )

    def __init__(
        self,
        node: str,
        image: StreamImage,
        interface: dict[str, Any],
        family: Declaration[Any, Any, Any],
        checking: Checking,
        until: int | None = None,
    ) -> None:
        """`interface` is that of the family in the image.

        Raises as reading an environment of another version does: `AdoptError`, msgspec.ValidationError.
        """
        self.name = image.cell.name
        self.from_turn = image.turns
        self.image_turn = image.turns
        self.env_bytes = len(image.cell.env)
        self.answers: list[Any] = []
        self.until = until
        self.watch: FormWatch | None = None
        self._node = node
        self._checking = checking
        self._be(image, interface, family)

    def go_over_to(self, family: Declaration[Any, Any, Any]) -> None:
        """Be run by another version from here on, as after a reload. Raises as the constructor."""
        self.cell.family, self.cell.poison = self.family, self._poison
        image = self.kept.image("version", self.clock_ns)
        self._be(image, image.cell.interface, family)
        self.code, self.codes = family.version, _only(family.version)

    def _be(self, image: StreamImage, interface: dict[str, Any], family: Declaration[Any, Any, Any]) -> None:
        """Be the engine of an image."""
        if not isinstance(family, Family):
            raise Wrong(f"{self.name}: {family.name} has no rules, so it has no journal")
        self.is_of_other_family = bool(family.ref) and family.ref != image.cell.family
        is_same = image.code == family.version and not self.is_of_other_family
        cell = revived_cell(read_cell(image.cell, self._node, family, None if is_same else interface))
        self._poison, cell.poison = image.cell.poison or "skip", ""
        cell.recorder, cell.notify = self._checking, _driven
        self.cell = cell
        self.family = cell.family
        self.kept = EngineRecorder(
            cell, image.mode, image.epoch, image.turns, Numbers(image.cell.ways, image.cell.ways_from_n)
        )
        for output in image.unacked:
            self.kept.keep((output.target, output.mailbox), output.n, output.payload)
        for child in image.children:
            self.kept.children[child.name] = child
        self.is_old = False
        self.clock_ns = image.clock_ns
        self.codes = _only(image.code)
        self.code = image.code
        self.witness: Witness | None = None

    def mail(self, arrival: int, sender: str, mailbox: int, epoch: int, first_n: int, payloads: list[Any]) -> str:
        """Take mail; its new messages wait. Returns the verdict if that is "gap" or "old_epoch", else ""."""
        cell = self.cell
        if cell.is_ended:
            return ""
        taken = cell.take(sender, mailbox, epoch, first_n, len(payloads))
        new = payloads[taken.skip :] if taken.skip else payloads
        if new:
            self._inbox(mailbox).add(Batch(arrival, sender, epoch, first_n + taken.skip, new, True))
            cell.received += len(new)
        return taken.verdict if taken.verdict in ("gap", "old_epoch") else ""

    def run(self, run: Run, turns: memoryview) -> None:
        """Run transitions over waiting messages. Raises `Diverged`, `Wrong`, `Enough`."""
        cell, inbox, checking = self.cell, self._inbox(run.mailbox), self._checking
        count = run.count if self.until is None else min(run.count, self.until - self.turns)
        results = bytes(turns[_RESULT :: TURN.size])
        if count:
            self._run_by(run.code)
            checking.expect(self.kept, self.answers, TURN.iter_unpack(turns))
        at = 0
        while at < count:
            n = run.first_n + at
            if not inbox.seek(run.sender, run.epoch, n):
                text = f"{self.name} handled message {n} of {run.sender}, epoch {run.epoch}, which does not wait"
                raise Wrong(text)
            batch = inbox.batches[0]
            payload = batch.payloads[batch.position]
            if results[at] == _SKIPPED:
                at += self._skip(inbox)
            else:
                skipped = results.find(_SKIPPED, at, count)
                cell.stride = 1 if self.watch is not None else (count if skipped < 0 else skipped) - at
                at += checking.transitions.run_mail(cell, inbox, checking.clock())
            self._saw(Trigger(self.name, run.sender, run.mailbox, run.epoch, n), payload)
        if count:
            self.clock_ns = max(self.clock_ns, TURN.unpack_from(turns, (count - 1) * TURN.size)[0])
        if count < run.count:
            raise Enough

    def use_rules(self, *, old: bool) -> None:
        """Run the turns that come under the rules before there was a value law (`old`), or under the law."""
        self.cell.family = self.family.under_old_rules() if old else self.family
        self.is_old = self.is_old or old

    def due(self, turn: DueTurn) -> None:
        """Run a transition over elapsed timers. Raises as `run`."""
        if self.turns == self.until:
            raise Enough
        self._expect(turn)
        handles = tuple(Handle(name, number) for name, number in turn.handles)
        self._checking.transitions.elapse(self.cell, handles, turn.now_ns)
        self._saw(Trigger(self.name, "", 0, 0, 0), None)

    def asked(self, asked: Asked) -> None:
        """Set the deadline of the question that suspends the engine."""
        if self.cell.suspension is None:
            raise Wrong(f"{self.name} waits for no choice, and has a deadline for one")
        deadline_ns = NEVER if asked.deadline_ns is None else asked.deadline_ns
        self.cell.suspension = msgspec.structs.replace(self.cell.suspension, deadline_ns=deadline_ns)

    def resumed(self, resumed: Resumed) -> None:
        """Resume the transition that waited for a choice; it was counted when it began. Raises as `run`."""
        suspension = self.cell.suspension
        if suspension is None or not self.answers:
            raise Wrong(f"{self.name} waits for no choice or was given none, and goes on from one")
        self._expect(resumed, len(suspension.answers))
        self.kept.turns -= 1
        self._checking.transitions.resume(self.cell, suspension, self.answers.pop(0))
        cause = suspension.cause
        if isinstance(cause, Delivery):
            self._saw(Trigger(self.name, cause.sender, cause.mailbox, 0, 0), encode(cause.message))
        else:
            self._saw(Trigger(self.name, "", 0, 0, 0), None)

    def witnessed(self, record: StateDigest) -> None:
        """Keep the digest of the environment here. One by other code, or of another form of dumps, is passed over."""
        if is_comparable(record) and self.codes == {self.family.version}:
            self.witness = Witness(self.family, self.env, self.turns, record.digest)

    def check_state(self) -> None:
        """Raise `Diverged` if the environment differs from the last digest."""
        witness = self.witness
        if witness is not None and (found := witness.found) != witness.recorded:
            raise Diverged(self.name, witness.turn, f"state {witness.recorded.hex()}", f"state {found.hex()}")

    def ended(self) -> None:
        """End the engine, and with it its question and its mail."""
        self.cell.is_ended = True
        self.cell.suspension = None
        for inbox in self.cell.inboxes.values():
            inbox.take_batches()

    @property
    def env(self) -> Environment[Any]:
        """Its environment."""
        found: Environment[Any] = self.cell.env
        return found

    @property
    def turns(self) -> int:
        """Its transitions so far."""
        return self.kept.turns

    @property
    def outcome(self) -> Outcome[Any] | None:
        """The outcome of its last transition, right after the record of that; None if the message was skipped."""
        return self._checking.outcome

    @property
    def made(self) -> tuple[Output, ...]:
        """The outputs of that transition."""
        outcome = self.outcome
        return outcome.outputs if isinstance(outcome, Committed) else ()

    @property
    def is_by_other_code(self) -> bool:
        """Whether the turn at hand was made by another version than the one loaded here."""
        return bool(self.code != self.family.version)

    def go_on(self) -> EngineRecorder:
        """End the replay: the engine is as in a live slot once this records it."""
        cell = self.cell
        cell.family, cell.notify, cell.stride, cell.poison = self.family, None, STRIDE_MIN, self._poison
        for inbox in cell.inboxes.values():
            for batch in inbox.batches:
                if batch.position:
                    batch.payloads = batch.payloads[batch.position :]
                    batch.first_n, batch.position = batch.first_n + batch.position, 0
        return self.kept

    def _inbox(self, mailbox: int) -> Inbox:
        inbox = self.cell.inboxes.get(mailbox)
        if inbox is None:
            raise Wrong(f"{self.name} has no mailbox {mailbox}")
        return inbox

    def _skip(self, inbox: Inbox) -> int:
        """Take one message that no transition handled; returns how many."""
        inbox.advance(1)
        self.cell.handled += 1
        self.kept.turns += 1
        self._checking.pass_over()
        return 1

    def _run_by(self, code: str) -> None:
        self.code = code
        if code not in self.codes:
            self.codes |= {code}

    def _expect(self, turn: DueTurn | Resumed, before: int = 0) -> None:
        self._run_by(turn.code)
        self.clock_ns = max(self.clock_ns, turn.now_ns)
        expected = (turn.now_ns, turn.outputs, turn.result, turn.answers)
        self._checking.expect(self.kept, self.answers, iter((expected,)), before)

    def _saw(self, trigger: Trigger, payload: bytes | None) -> None:
        if self.watch is not None:
            self.watch.saw(trigger, None if payload is None else bytes(payload), self.env, self.turns)


@lru_cache
def _only(code: str) -> frozenset[str]:
    """Shared by all streams that one version made."""
    return frozenset({code})


def _driven() -> None:
    """The driver of an engine under replay is its log."""
