"""The recorder of a replay: where a journal writes a step, it compares the step with its record.

A replayed engine is a `Cell`, and the transitions of a live slot run it (`Turns`). What these get from outside comes
from the log: the mail of a run, the time of the turn at hand, the answers recorded for it. The clock is asked for
before each message, as it is while a timer is pending. The log is the engine's driver (`Cell.notify`), so that no
deadline is kept for it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any, Final

from engines.model import Committed, Failed, Handle, Outcome, Output
from host.node.cell import NEVER
from host.node.deadlines import Deadlines
from host.node.journal.digest import Digest
from host.node.journal.layout import Wrong
from host.node.journal.records import RESULTS, TurnResult
from host.node.journaled.keeping import EngineRecorder
from host.node.progress import Tally, Unseen
from host.node.report import Report
from host.node.turns import Turns

Turn = tuple[int, int, int, int]
"""Time, checksum of the outputs, result, answers."""

_COMMITTED: Final = int(TurnResult.COMMITTED)


class Diverged(Exception):
    """A transition came out differently from its record. `outputs` are those of the replay."""

    def __init__(self, engine: str, turn: int, recorded: str, found: str, outputs: tuple[Output, ...] = ()) -> None:
        super().__init__(f"{engine}, turn {turn}: recorded {recorded}; the replay gives {found}")
        self.engine = engine
        self.turn = turn
        self.recorded = recorded
        self.found = found
        self.outputs = outputs


class Checking:
    """Mutable, one a replay: the `Recorder` of its engines, one at a time.

    `outcome` is that of the last transition since `expect`, None before it.
    """

    epoch = 0
    outcome: Outcome[Any] | None = None
    _kept: EngineRecorder
    _answers: list[Any]
    _later: Iterator[Turn]

    def __init__(self, digest: Digest) -> None:
        deadlines = Deadlines()
        deadlines.earliest = NEVER - 1
        self._report = Report()
        self.transitions = Turns(self.clock, self._chance, Unseen(), self._report, deadlines, Tally())
        self._digest = digest
        self._turn: Turn = (0, 0, 0, 0)

    def expect(self, kept: EngineRecorder, answers: list[Any], turns: Iterator[Turn], before: int = 0) -> None:
        """The turns of `kept` that come next; the first has these answers after `before` others. Raises `Wrong`.

        What `transitions` left is forgotten: `kept` has the outputs, and nobody reads the report.
        """
        self.transitions.outputs.clear()
        self.transitions.outputs_count = 0
        self._report.waits.clear()
        self._kept = kept
        self._answers = answers
        self._later = turns
        self.outcome = None
        self.pass_over()
        if before + len(answers) != self._turn[3]:
            raise Wrong(f"{kept.cell.name} was given {len(answers)} answers, and a turn had {self._turn[3] - before}")

    def pass_over(self) -> None:
        """The turn at hand is over."""
        self._turn = next(self._later, self._turn)

    def clock(self) -> int:
        """The time of the turn at hand."""
        return self._turn[0]

    def handled(
        self, sender: str, mailbox: int, epoch: int, n: int, now_ns: int, outcome: Outcome[Any], answers: int = 0
    ) -> Outcome[Any]:
        """Compare a transition with the turn at hand."""
        _, recorded, result, given = self._turn
        self.outcome = outcome
        kept = self._kept
        found = 0
        if outcome.__class__ is Committed:
            assert isinstance(outcome, Committed)
            made = _COMMITTED
            if outcome.outputs:
                found, numbered = kept.number(outcome.outputs, self._digest)
                kept.cell.sent += len(numbered)
        else:
            made = RESULTS[type(outcome)]
        if found != recorded or made != result or answers != given:
            self._differs(outcome, found, answers)
        kept.turns += 1
        self._turn = next(self._later, self._turn)
        return outcome

    def elapsed(
        self, handles: tuple[Handle, ...], now_ns: int, outcome: Outcome[Any], answers: int = 0
    ) -> Outcome[Any]:
        """As `handled`."""
        return self.handled("", 0, 0, 0, now_ns, outcome, answers)

    def resumed(self, now_ns: int, outcome: Outcome[Any], answers: int) -> Outcome[Any]:
        """As `handled`."""
        return self.handled("", 0, 0, 0, now_ns, outcome, answers)

    def skipped(self, sender: str, mailbox: int, epoch: int, n: int, now_ns: int) -> None:
        """A message that was handled cannot be read."""
        raise self._diverged(f"a message it cannot read: {sys.exc_info()[1]}")

    def answered(self, *_: Any) -> None:
        """It is from the log."""

    asked = mail = left = settled = ended = answered

    def _chance(self, sides: int) -> int:
        answer = self._answers.pop(0) if self._answers else None
        if not isinstance(answer, int):
            raise self._diverged(f"a roll of {sides} sides")
        return answer - 1

    def _differs(self, outcome: Outcome[Any], found: int, answers: int) -> None:
        made = outcome.outputs if isinstance(outcome, Committed) else ()
        detail = f": {outcome.error}" if isinstance(outcome, Failed) else ""
        given = self._turn[3]
        took = f", with {answers} of {given} answers" if answers != given else ""
        raise self._diverged(_shown(RESULTS[type(outcome)], found) + took + detail, made)

    def _diverged(self, found: str, outputs: tuple[Output, ...] = ()) -> Diverged:
        _, recorded, result, _ = self._turn
        return Diverged(self._kept.cell.name, self._kept.turns + 1, _shown(result, recorded), found, outputs)


def _shown(result: int, outputs: int) -> str:
    name = TurnResult(result).name.lower() if result in TurnResult.__members__.values() else f"result {result}"
    return f"{name} with outputs {outputs:08x}" if outputs else name
