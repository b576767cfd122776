"""The rehearsal of a reload: a new version runs the last triggers of an engine before it may take over.

It begins with the engine's state before these triggers, migrated, and handles each with the time and the answers that
it had. After each, two things are compared with what the old version made of it:

* the outcome: its kind, and the outputs in their order. A field that only the new version's messages have is left out;
* the environment, where it was kept: the migrated old one against the new one. A field that only the new state has,
  and to which the migration always gives the same value, is left out and named in `added`: there, migration and
  transition do not commute, and the state after the cut is the old one migrated.

A trigger that failed before and does not now is *repaired*: it is counted, and changes nothing here, as it did then.
Any other difference is refused unless the new version declares it (`Family(intended=…)`). Places of the state that
differed once differ ever after, so each is reported once. Each transition runs twice, which shows a clock, chance, or
a count of its own runs; an order of sets shows only under another hash seed (`enginehost lint`).

Nothing of it leaves the process. The past of an engine is in `past`, and where it comes from in `journal.excerpt`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final, NamedTuple

import msgspec

from engines.model import (
    AdoptError,
    AnswerError,
    Committed,
    Configuration,
    Delivery,
    Due,
    Environment,
    Failed,
    Family,
    Handle,
    Handled,
    Mismatch,
    Outcome,
    Refused,
    Stored,
    Suspended,
    step,
    view,
)
from engines.model.blame import blame
from engines.model.store.dump import read_dump
from host.config.engine_values import convert_engine
from host.node.differing import differences
from host.node.news import RehearsalResult
from host.node.past import PastEnd, PastEngine, PastLost, PastTurn, decode_past, outputs_of, result_of

SHOWN_CHARS: Final = 600
"""Of an outcome in a refusal."""

FAILED: Final = "failed"
UNREADABLE: Final = "unreadable"
ASKS: Final = "asks"
UNHANDLED: Final = (UNREADABLE, ASKS)
"""Results beside those of the model: the trigger cannot be handled as it was."""

AnyFamily = Family[Any, Any, Any, Any]


class Differs(Exception):
    """The new version does not do what the old one did; the text is for its author."""


class CutShort(Exception):
    """The past ended before its end."""


class RehearsalEnd(NamedTuple):
    """Where the new version stands at the end: the environment, with the size of its dump, from which an engine can go
    on. `after` are the turns before the first."""

    after: int
    family: AnyFamily
    me: Configuration[Any]
    env: Environment[Any]
    env_bytes: int


def rehearse(
    parts: Iterable[bytes], family_of: Callable[[str, str], AnyFamily], ends: dict[str, RehearsalEnd] | None = None
) -> list[RehearsalResult]:
    """Rehearse engines under the families that `family_of` gives for a name and the family so far, called right before
    each. Raises `Differs` and `CutShort`.

    `ends` gets, by engine, the end of its last rehearsal, if there was any turn.
    """
    results: dict[str, RehearsalResult] = {}
    current: Rehearsal | None = None
    for part in parts:
        past = decode_past(part)
        if isinstance(past, PastTurn):
            assert current is not None
            current.run(past)
            continue
        if current is not None:
            _add(results, current.result)
            if ends is not None and current.turns:
                ends[current.result.engine] = current.end
            current = None
        match past:
            case PastEngine():
                current = Rehearsal(family_of(past.name, past.family), past)
            case PastLost(name, reason):
                _add(results, RehearsalResult(name, lost=reason))
            case PastEnd():
                return [*results.values()]
    raise CutShort("the process that read the last triggers ended before their end; try again")


def _add(results: dict[str, RehearsalResult], one: RehearsalResult) -> None:
    """An engine has several pasts where other code, or a new beginning, lies between."""
    before = results.get(one.engine, RehearsalResult(one.engine))
    added = tuple(sorted({*before.added, *one.added}))
    turns, intended = before.turns + one.turns, before.intended + one.intended
    results[one.engine] = RehearsalResult(one.engine, turns, intended, added, one.lost, before.repaired + one.repaired)


class Rehearsal:
    """Mutable, one engine under its new version. Raises `Differs` from `begin` and `run`.

    `turns` have run, `intended` of them with a declared difference. `added` are places that only the new state has,
    and that the triggers changed.
    """

    def __init__(self, family: AnyFamily, past: PastEngine) -> None:
        self.turns = 0
        self.intended = 0
        self.repaired = 0
        self.added: set[str] = set()
        self._family = family
        self._past = past
        params, _ = convert_engine(family, past.params, None)
        self._me = Configuration(past.node, past.name, past.parent, params, past.birth)
        self._known: set[str] = set()
        self._env_bytes = self._after = 0
        interface = family.interface()
        self._is_same = all(interface[part] == past.interface.get(part) for part in ("state_layout", "boxes"))
        self._env: Environment[Any] = self._migrated(past, "where it begins")
        again = self._migrated(past, "where it begins")
        self._start = read_dump(family.dump(self._env))
        if family.dump(self._env) != family.dump(again):
            raise Differs("the state where it begins: migrate gives another state each time")

    @property
    def result(self) -> RehearsalResult:
        """What was found, all told."""
        added = tuple(sorted(self.added))
        return RehearsalResult(self._past.name, self.turns, self.intended, added, repaired=self.repaired)

    @property
    def end(self) -> RehearsalEnd:
        """Where it stands now."""
        return RehearsalEnd(self._after, self._family, self._me, self._env, self._env_bytes)

    def run(self, turn: PastTurn) -> None:
        """Handle a trigger as the engine did, and compare."""
        self._after = self._after if self.turns else turn.n - 1
        before, env = Handled(turn.result, tuple(turn.outputs)), self._env
        message, after = self._handle(turn)
        self.turns += 1
        if before.result == FAILED and after.result not in (FAILED, *UNHANDLED):
            self.repaired += 1
            self._env = self._without(env, turn.timers)
            return
        places = self._places(turn) if turn.env else ()
        if _is_alike(before, after) and not places:
            return
        mismatch = Mismatch(turn.sender, message, turn.timers, turn.now_ns, before, after, places)
        if not self._judge(mismatch):
            raise Differs(self._told(turn, mismatch))
        self.intended += 1

    def _handle(self, turn: PastTurn) -> tuple[Any, Handled]:
        """The message in the new version's type, and what the new version makes of the trigger."""
        cause: Delivery[Any] | Due
        if turn.message is None:
            cause = Due(tuple(self._handle_of(name) for name in turn.timers))
            message = None
        else:
            try:
                message = self._family.boxes[turn.mailbox].decode(turn.message)
            except BaseException as error:
                return None, Handled(UNREADABLE, (), blame(error)[0])
            cause = Delivery(turn.sender, turn.mailbox, message)
        outcome = self._step(cause, turn)
        if isinstance(outcome, str):
            return message, Handled(ASKS, (), outcome)
        if isinstance(outcome, Committed | Stored):
            self._env = outcome.env
        elif isinstance(cause, Due):
            self._env = self._without(self._env, turn.timers)
        return message, _handled(outcome)

    @staticmethod
    def _without(env: Environment[Any], timers: tuple[str, ...]) -> Environment[Any]:
        """Timers whose transition failed are over."""
        left = env.timers
        for name in timers:
            left = left.without(name)
        return env if left is env.timers else env.with_timers(left)

    def _handle_of(self, timer: str) -> Handle:
        """The timer as it is pending here; it may have another number."""
        pending = self._env.timers.get(timer)
        return Handle(timer, 0 if pending is None else pending.number)

    def _step(self, cause: Delivery[Any] | Due, turn: PastTurn) -> Outcome[Any] | str:
        """The outcome, or the question that the answers of then do not answer."""
        try:
            first = step(self._family, self._me, self._env, cause, turn.now_ns, turn.answers)
            second = step(self._family, self._me, self._env, cause, turn.now_ns, turn.answers)
        except AnswerError as error:
            return str(error)
        if isinstance(first, Suspended):
            return str(first.question)
        if not self._is_equal(first, second, keeps_env=bool(turn.env)):
            text = f"{_shown(_handled(first))}; a second time: {_shown(_handled(second))}"
            raise Differs(f"{self._place(turn)}: it is not deterministic: {text}")
        return first

    def _is_equal(self, first: Outcome[Any], second: Outcome[Any], *, keeps_env: bool) -> bool:
        if type(first) is not type(second) or outputs_of(first) != outputs_of(second):
            return False
        if not keeps_env or not isinstance(first, Committed) or not isinstance(second, Committed):
            return True
        return first.env == second.env or self._family.dump(first.env) == self._family.dump(second.env)

    def _places(self, turn: PastTurn) -> tuple[str, ...]:
        """The places of the environment that differ for the first time; new ones of the state go to `added`."""
        mine = self._family.dump(self._env)
        self._env_bytes = len(mine)
        carried = turn.env if self._is_same else self._family.dump(self._migrated(turn, f"after turn {turn.n}"))
        if mine == carried:
            return ()
        found: list[str] = []
        for place, is_new in differences(read_dump(turn.env), self._start, read_dump(carried), read_dump(mine)):
            if is_new:
                self.added.add(place)
            elif place not in self._known:
                self._known.add(place)
                found.append(place)
        return tuple(found)

    def _migrated(self, at: PastEngine | PastTurn, when: str) -> Environment[Any]:
        """An old environment in the new version."""
        family, past = self._family, self._past
        try:
            if past.code == family.version:
                return family.load(at.env)
            return family.adopt(at.env, past.interface, at.downgraded)
        except (AdoptError, msgspec.ValidationError) as error:
            raise Differs(f"the state {when}: {error}") from None

    def _judge(self, mismatch: Mismatch) -> bool:
        judge = self._family.intended
        if judge is None:
            return False
        try:
            return bool(judge(mismatch))
        except BaseException as error:
            raise Differs(f"intended raised {blame(error)[1]}") from None

    def _place(self, turn: PastTurn) -> str:
        what = f"timers {', '.join(turn.timers)}" if turn.message is None else f"a message of {turn.sender or 'nobody'}"
        return f"turn {turn.n}, {what}"

    def _told(self, turn: PastTurn, mismatch: Mismatch) -> str:
        what = f": {_clipped(str(view(mismatch.message)))}" if mismatch.message is not None else ""
        lines = [f"{self._place(turn)}{what}"]
        if not _is_alike(mismatch.before, mismatch.after):
            lines += [f"  before: {_shown(mismatch.before)}", f"  now:    {_shown(mismatch.after)}"]
        if mismatch.places:
            lines.append(f"  differs after it: {', '.join(mismatch.places)}")
        return "\n".join([*lines, "  a difference that is intended is declared: Family(..., intended=...)"])


def _handled(outcome: Outcome[Any]) -> Handled:
    error = outcome.error if isinstance(outcome, Failed) else outcome.reason if isinstance(outcome, Refused) else ""
    return Handled(result_of(outcome), tuple(outputs_of(outcome)), error)


def _is_alike(before: Handled, after: Handled) -> bool:
    """Whether both have the same result and outputs; a message may have further fields now."""
    if before.result != after.result or len(before.outputs) != len(after.outputs):
        return False
    return all(map(_is_same_output, before.outputs, after.outputs))


def _is_same_output(before: Any, after: Any) -> bool:
    if before == after:
        return True
    return all(
        value == after.get(key) or (isinstance(value, dict) and _has_all(value, after.get(key)))
        for key, value in before.items()
    )


def _has_all(before: dict[str, Any], after: Any) -> bool:
    return isinstance(after, dict) and all(key in after and after[key] == value for key, value in before.items())


def _shown(handled: Handled) -> str:
    outputs = "; ".join(_clipped(str(output)) for output in handled.outputs)
    return f"{handled.result}{f', {_clipped(handled.error)}' if handled.error else ''}: {outputs or 'no output'}"


def _clipped(text: str) -> str:
    return text if len(text) <= SHOWN_CHARS else f"{text[:SHOWN_CHARS]}…"
