"""The question that suspends an engine, as bytes, and whether another version of its code still asks it.

Only the trigger, the time and the answers so far of a suspended transition are kept (`engines.model.interaction`). So a
version that takes over is checked by running what an answer will run: the trigger with those answers. The question it
then stops at must be the one that was put to the user.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from engines.model import (
    AnswerError,
    Box,
    Choose,
    Configuration,
    Delivery,
    Due,
    Environment,
    Failed,
    Family,
    Handle,
    Outcome,
    Suspended,
    encode,
    step,
)
from host.node.cell import Suspension


class QuestionImage(msgspec.Struct, frozen=True, array_like=True):
    """A transition that waits for a choice: a message, or timers as (name, number)."""

    sender: str
    mailbox: int
    message: bytes
    handles: tuple[tuple[str, int], ...]
    at_ns: int
    answers: tuple[Any, ...]
    options: tuple[str, ...]
    timeout_ns: int | None
    deadline_ns: int

    def cause(self, boxes: Mapping[int, Box[Any, Any]]) -> Delivery[Any] | Due:
        """The trigger, its message in the type that its mailbox takes. Raises msgspec.ValidationError."""
        if self.handles:
            return Due(tuple(Handle(name, number) for name, number in self.handles))
        return Delivery(self.sender, self.mailbox, boxes[self.mailbox].decode(self.message))

    @property
    def question(self) -> Choose[Any]:
        """The question that was put to the user."""
        return Choose(self.options) if self.timeout_ns is None else Choose(self.options, self.timeout_ns)


def question_image(
    cause: Delivery[Any] | Due, at_ns: int, answers: tuple[Any, ...], question: Choose[Any], deadline_ns: int
) -> QuestionImage:
    """The image of a transition suspended at `question`."""
    rest = (at_ns, answers, question.options, question.timeout_ns, deadline_ns)
    if isinstance(cause, Delivery):
        return QuestionImage(cause.sender, cause.mailbox, encode(cause.message), (), *rest)
    return QuestionImage("", 0, b"", tuple((handle.name, handle.number) for handle in cause.handles), *rest)


def suspension_of(image: QuestionImage, boxes: Mapping[int, Box[Any, Any]]) -> Suspension:
    """The transition as its engine holds it."""
    return Suspension(image.cause(boxes), image.at_ns, image.answers, image.question, image.deadline_ns)


def misfit(
    family: Family[Any, Any, Any, Any],
    configuration: Configuration[Any],
    env: Environment[Any],
    image: QuestionImage | None,
) -> str:
    """Why the engine cannot go on from this question with this family; "" when it can, or waits for no choice."""
    if image is None:
        return ""
    found: Outcome[Any] | str
    try:
        found = step(family, configuration, env, image.cause(family.boxes), image.at_ns, image.answers)
    except (AnswerError, msgspec.DecodeError) as error:
        found = f"does not take what led there: {error}"
    if isinstance(found, Suspended) and _is_same(image.question, found.question):
        return ""
    return f"it waits for {_asked(image.question)}, and the new code {_otherwise(found)}"


def _is_same(asked: Choose[Any], found: object) -> bool:
    """Whether every answer to `asked`, a time-out included, answers `found`, and both have the same options."""
    if not isinstance(found, Choose) or found.options != asked.options:
        return False
    return asked.timeout_ns is None or found.timeout_ns is not None


def _asked(question: object) -> str:
    if not isinstance(question, Choose):
        return f"a roll of {getattr(question, 'sides', '?')} sides"
    return f"the choice {', '.join(question.options)}" + (" with a time-out" if question.timeout_ns is not None else "")


def _otherwise(found: Outcome[Any] | str) -> str:
    match found:
        case str():
            return found
        case Suspended(question, labels):
            return f"waits for {_asked(question)} there, in {', '.join(labels) or 'its strategy'}"
        case Failed(error):
            return f"fails there: {error}"
        case _:
            return f"asks nothing there: its transition is {type(found).__name__.lower()}"
