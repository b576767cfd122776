"""Trials: short histories of an engine, made up from its types, for a second run in another process.

A history begins with made-up parameters and a state, and gives the engine messages of each type it accepts, answers to
its questions, and the time for its timers. Each transition becomes a case with its record (`determinism`). Everything
is a function of the seed, so a trial can be repeated. It is a bounded search: what it does not meet may still differ.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import Any, Final, NamedTuple, TypeAlias

from ..birth import birth
from ..environment import Environment, due_timers, next_deadline
from ..family import Family
from ..interaction import Answer, Choose, Question
from ..outcome import Committed, Outcome, Stopped, Suspended
from ..step import step
from ..trigger import Cause, Configuration, Delivery, Due
from .determinism import record_case, record_outcome
from .samples import Samples, constants_of

AnyFamily: TypeAlias = Family[Any, Any, Any, Any]
Run: TypeAlias = Callable[..., Outcome[Any] | None]

HISTORIES: Final = 12
"""Engines tried; half of them begin with the family's own state."""

MESSAGES: Final = 4
"""Messages of each type that an engine gets."""

ANSWERS_MAX: Final = 20
"""Answers given to one action; a longer interaction is left suspended."""

NOW_NS_MAX: Final = 2**62
"""Timers beyond are not waited for: a clock has 64 bits, and made-up intervals may be as long."""

SENDERS: Final = ("ann", "bob", "engine")


class Tried(NamedTuple):
    """A transition that was run: its case, its record, and the rules that ran, or may have."""

    case: bytes
    record: bytes
    rules: tuple[str, ...]


def trials(
    family: AnyFamily,
    *,
    configs: Sequence[Any] = (),
    states: Sequence[Any] = (),
    histories: int = HISTORIES,
    seed: int = 0,
    run: Run = step,
) -> Iterator[Tried]:
    """The transitions of some histories of a loaded family.

    Args:
        configs, states: parameters and first states to begin with, instead of made-up ones.
        run: `step`, or a function that calls it and returns None for a transition that must not be repeated.

    Raises:
        Exception: no value of a type can be made, of whatever kind its constructor raises.
    """
    code = [part for rule in family.rule_list for part in (rule.guard, rule.action) if part is not None]
    samples = Samples(seed, chain.from_iterable(map(constants_of, code)))
    for number in range(histories):
        params = samples.pick(configs) if configs else samples.of(family.config)
        me = Configuration("node", "engine", None, params)
        first = samples.pick(states) if states else samples.of(family.states) if number % 2 else None
        yield from _History(family, me, birth(family, me, now_ns=0, state=first), samples, run).tried()


class _History:
    """One engine, from its birth on."""

    def __init__(
        self, family: AnyFamily, me: Configuration[Any], env: Environment[Any], samples: Samples, run: Run
    ) -> None:
        self.family = family
        self.me = me
        self.env = env
        self.samples = samples
        self.run = run
        self.now_ns = 1
        self.is_over = False

    def tried(self) -> Iterator[Tried]:
        kinds = sorted(self.family.plan, key=lambda kind: (kind.__qualname__, kind.__module__))
        for kind in kinds * MESSAGES:
            if self.is_over:
                return
            message = self.samples.of(kind)
            yield from self._feed(Delivery(self.samples.pick(SENDERS), self.family.plan[kind].mailbox, message))
            self.now_ns += self.samples.pick((0, 1, 1_000_000_000))
            yield from self._elapse()

    def _elapse(self) -> Iterator[Tried]:
        """One trigger of elapsed timers, if any are pending: those that are next."""
        deadline_ns = next_deadline(self.env)
        if deadline_ns is None or deadline_ns > NOW_NS_MAX or self.is_over:
            return
        self.now_ns = max(self.now_ns, deadline_ns)
        yield from self._feed(Due(due_timers(self.env, self.now_ns)))

    def _feed(self, cause: Cause) -> Iterator[Tried]:
        """One input, with answers to all its questions."""
        answers: list[Answer] = []
        for _ in range(ANSWERS_MAX):
            outcome = self.run(self.family, self.me, self.env, cause, self.now_ns, tuple(answers))
            if outcome is None:
                return
            case = record_case(self.family, self.me, self.env, cause, self.now_ns, answers)
            yield Tried(case, record_outcome(outcome), self._rules(cause, outcome))
            if not isinstance(outcome, Suspended):
                break
            answers.append(self._answer(outcome.question))
        if isinstance(outcome, Committed):
            self.env = outcome.env
            self.is_over = any(isinstance(output, Stopped) for output in outcome.outputs)

    def _answer(self, question: Question) -> Answer:
        if isinstance(question, Choose):
            return self.samples.pick(question.options)
        return 1 + self.samples.below(question.sides)

    def _rules(self, cause: Cause, outcome: Outcome[Any]) -> tuple[str, ...]:
        """The rules that ran, else those about the input."""
        if isinstance(outcome, Committed | Suspended) and outcome.labels:
            return outcome.labels
        if isinstance(cause, Delivery):
            return tuple(rule.name for rule in self.family.plan[type(cause.message)].rules)
        names = {handle.name for handle in cause.handles}
        return tuple(
            rule.name for rule in self.family.timer_plan if rule.timer is not None and rule.timer.name in names
        )
