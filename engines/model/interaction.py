"""Interaction: an action that asks. A user's choice among finitely many options, or the roll of a die, each optionally
with a time-out.

An interactive rule is a generator that yields questions, gets answers, and returns effects. Only the trigger of a
suspended engine and the answers so far are kept. To go on, the action runs again from the start and takes the recorded
answers in order. That is why an answer is recorded before it is used, and why such an action must be as pure
as any other. The strategy `one` asks too: a roll before the action decides which of the rules that hold runs.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import Any, Final, Generic, TypeAlias, TypeVar, overload

from .effects import Effects

A = TypeVar("A")
S = TypeVar("S")
M = TypeVar("M")

QUESTIONS_MAX: Final = 1000
"""Questions of one transition; one more fails it, since otherwise an action could ask for ever."""

Answer: TypeAlias = str | int | None
"""An option, the side a die fell on, or None after a time-out."""


class Choose(Generic[A]):
    """A user chooses one of `options`; the answer is the option, or None once `timeout_ns` have passed."""

    __slots__ = ("options", "timeout_ns")

    @overload
    def __init__(self: Choose[str], options: Sequence[str]) -> None: ...
    @overload
    def __init__(self: Choose[str | None], options: Sequence[str], timeout_ns: int) -> None: ...
    def __init__(self, options: Sequence[str], timeout_ns: int | None = None) -> None:
        if not options or len(set(options)) != len(options):
            raise ValueError(f"a choice needs options, each once: {options!r}")
        self.options = tuple(options)
        self.timeout_ns = timeout_ns

    def allows(self, answer: object) -> bool:
        """Whether this is an answer to this question."""
        return answer in self.options or (answer is None and self.timeout_ns is not None)

    def __iter__(self) -> Generator[Choose[A], Any, A]:
        answer: A = yield self
        return answer

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Choose) and (self.options, self.timeout_ns) == (other.options, other.timeout_ns)

    def __hash__(self) -> int:
        return hash((self.options, self.timeout_ns))

    def __repr__(self) -> str:
        return f"Choose({self.options!r}, timeout_ns={self.timeout_ns})"


class Roll(Generic[A]):
    """A die with `sides` sides falls on 1 to `sides`; the answer is None once `timeout_ns` have passed."""

    __slots__ = ("sides", "timeout_ns")

    @overload
    def __init__(self: Roll[int], sides: int) -> None: ...
    @overload
    def __init__(self: Roll[int | None], sides: int, timeout_ns: int) -> None: ...
    def __init__(self, sides: int, timeout_ns: int | None = None) -> None:
        if sides < 1:
            raise ValueError(f"a die has at least one side, not {sides}")
        self.sides = sides
        self.timeout_ns = timeout_ns

    def allows(self, answer: object) -> bool:
        """Whether this is an answer to this question."""
        if answer is None:
            return self.timeout_ns is not None
        return type(answer) is int and 1 <= answer <= self.sides

    def __iter__(self) -> Generator[Roll[A], Any, A]:
        answer: A = yield self
        return answer

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Roll) and (self.sides, self.timeout_ns) == (other.sides, other.timeout_ns)

    def __hash__(self) -> int:
        return hash((self.sides, self.timeout_ns))

    def __repr__(self) -> str:
        return f"Roll({self.sides}, timeout_ns={self.timeout_ns})"


Question: TypeAlias = Choose[Any] | Roll[Any]
"""A question that can suspend an engine."""

Interaction: TypeAlias = Generator[Choose[Any] | Roll[Any], Any, Effects[S, M]]
"""The result of an interactive action: the tree of its questions, with effects at the leaves."""


class Unanswered(Exception):
    """Raised inside `step` at a question beyond the recorded answers; it becomes `Suspended`."""

    def __init__(self, question: Question) -> None:
        super().__init__(question)
        self.question = question


class AnswerError(ValueError):
    """An answer that the question does not allow, or one more than there were questions. Nothing changed."""


class Answers:
    """The recorded answers of one transition, taken in order. `check` raises for a question that cannot be asked."""

    __slots__ = ("_check", "given", "taken")

    def __init__(self, given: Sequence[Answer], check: Callable[[Question], None]) -> None:
        self.given = given
        self.taken = 0
        self._check = check

    def take(self, question: Question) -> Answer:
        """The next recorded answer. Raises Unanswered beyond the last, AnswerError for an answer that the question does
        not allow."""
        if self.taken >= QUESTIONS_MAX:
            raise RuntimeError(f"an action asked more than {QUESTIONS_MAX} questions")
        if self.taken == len(self.given):
            self._check(question)
            raise Unanswered(question)
        answer = self.given[self.taken]
        if not question.allows(answer):
            raise AnswerError(f"{answer!r} is no answer to {question!r}")
        self.taken += 1
        return answer


def follow(tree: Interaction[S, M], answers: Answers) -> Effects[S, M]:
    """Walk an interaction tree by the recorded answers to its leaf, the effects."""
    try:
        question = next(tree)
        while True:
            if not isinstance(question, Choose | Roll):
                raise TypeError(f"an interactive action yields Choose or Roll, not {type(question).__name__}")
            question = tree.send(answers.take(question))
    except StopIteration as leaf:
        effects: Effects[S, M] = leaf.value
        return effects
    finally:
        tree.close()
