"""A counterexample followed again, step by step: what the test files that `enginehost check --test` writes call.

A step is a line that says what happens and to whom, but not what the engine makes of it, since that is what a mended
rule changes. A step that is no longer possible ends the way: the mistake cannot be reached by it any more.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from engines.model import view
from host.check.local import CheckError
from host.check.properties import Predicate, Property, holds, name_of
from host.check.run import CheckRequest, prepared, space_of
from host.check.space import Space, State, Successor

NO_RULE_RAISES: Final = "no rule raises"


class StillViolated(AssertionError):
    """The counterexample still is one."""


def line_of(step: Successor) -> str:
    """A step as one line: its kind, the engine, and what it is about."""
    if step.envelope is not None:
        envelope, message = step.envelope, step.envelope.message
        mailbox = f"#{envelope.mailbox}" if envelope.mailbox else ""
        fields = msgspec.json.encode(view(message)).decode()
        return f"{step.kind} {envelope.sender} -> {envelope.target}{mailbox} {type(message).__name__} {fields}"
    what = "" if step.kind == "crash" else step.label.partition(":")[0]
    return f"{step.kind} {step.engine} {what}".rstrip()


def follow(subject: str, steps: str, property: str, *, loop: int | None = None, **options: Any) -> None:
    """Follow a counterexample, and raise if it still is one.

    Args:
        steps: lines as `line_of` gives them.
        property: the name of the property as a check shows it.
        loop: how many steps come before those that repeat for ever.
        options: fields of `CheckRequest`.

    Raises:
        StillViolated: the property is violated as it was.
        CheckError: there is no such subject or property.
    """
    __tracebackhide__ = True  # for pytest: the line of the test and the error say it all
    request = CheckRequest(subject=subject, **options)
    system, properties = prepared(request)
    space = space_of(request, system)
    wanted = _lines(steps)
    path = _walked(space, wanted)
    if property == NO_RULE_RAISES:
        return
    one = next((one for one in properties if one.name == property), None)
    if one is None:
        raise CheckError(f"{subject} has no property {property!r}; it has {', '.join(one.name for one in properties)}")
    if one.claim == "always":
        _assert_always(space, path, one.holds)
    elif len(path) == 1 + len(wanted):
        _assert_comes(space, path, one, loop)


def _lines(steps: str) -> list[str]:
    return [line.strip() for line in steps.splitlines() if line.strip()]


def _walked(space: Space, lines: Sequence[str]) -> list[State]:
    """The states along the steps, as far as they are possible. Raises StillViolated when a rule raises."""
    path = [space.initial]
    for line in lines:
        step = next((one for one in space.successors(path[-1]) if line_of(one) == line), None)
        if step is None:
            return path
        if step.reaction is not None and step.reaction.error:
            raise StillViolated(f"{line}\n{step.reaction.error}")
        path.append(step.state)
    return path


def _assert_always(space: Space, path: Sequence[State], predicate: Predicate) -> None:
    for number, state in enumerate(path):
        if not holds(predicate, space.view(state)):
            raise StillViolated(f"{name_of(predicate)} does not hold after {number} steps")


def _assert_comes(space: Space, path: Sequence[State], one: Property, loop: int | None) -> None:
    """Raise when the run can end, or goes round, without what should come; `leads_to` from the last cause on."""
    if loop is not None and path[loop] != path[-1]:
        return
    if loop is None and any(step.owed is not None for step in space.successors(path[-1])):
        return
    then = one.holds if one.then is None else one.then
    begin = 0
    if one.then is not None:
        begin = max((n for n, state in enumerate(path) if holds(one.holds, space.view(state))), default=len(path))
        begin = min(begin, len(path) if loop is None else loop)
    if not any(holds(then, space.view(state)) for state in path[begin:]) and begin < len(path):
        how = "can end here" if loop is None else "can go round for ever"
        raise StillViolated(f"{one.name} does not hold: {name_of(then)} never comes, and the run {how}")
