"""A counterexample followed again, step by step: what the test files that `enginehost check --test` writes call.

A step is a line that says what happens and to whom, but not what the engine makes of it, since that is what a mended
rule changes. A step that is no longer possible ends the way: the mistake cannot be reached by it any more.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import msgspec

from engines.model import view
from host.check.local import CheckError
from host.check.plain import AnySpace
from host.check.properties import Property, PropertyError, holds, name_of
from host.check.run import LIVENESS, CheckRequest, prepared, space_of
from host.check.search import NO_RULE_RAISES
from host.check.space import Successor
from host.config.load import load_node


class StillViolated(AssertionError):
    """The counterexample still is one."""


def line_of(step: Successor) -> str:
    """A step as one line: its kind, the engine, and what it is about."""
    if step.envelope is not None:
        envelope, message = step.envelope, step.envelope.message
        mailbox = f"#{envelope.mailbox}" if envelope.mailbox else ""
        standing = " standing" if step.kind == "deliver" and step.owed is None else ""
        fields = msgspec.json.encode(view(message)).decode()
        where = f"{envelope.sender} -> {envelope.target}{mailbox}"
        return f"{step.kind}{standing} {where} {type(message).__name__} {fields}"
    if not step.engine:
        return f"{step.kind} {step.label}"
    what = "" if step.reaction is None else step.reaction.what
    return f"{step.kind} {step.engine} {what}".rstrip()


def follow(subject: str, steps: Sequence[str], property: str, *, loop: int | None = None, **options: Any) -> None:
    """Follow a counterexample, and raise if it still is one.

    Args:
        subject: as for `enginehost check`: an import path, or a node file.
        steps: lines as `line_of` gives them.
        property: the name of the property as a check shows it.
        loop: how many steps come before those that repeat for ever.
        options: fields of `CheckRequest`.

    Raises:
        StillViolated: the property is violated as it was.
        CheckError: there is no such subject or property.
    """
    __tracebackhide__ = True  # for pytest: the line of the test and the error say it all
    request = CheckRequest(subject=subject, node=None if ":" in subject else load_node(subject), **options)
    system, properties = prepared(request)
    space = space_of(request, system)
    path, taken = _walked(space, steps, raises=property == NO_RULE_RAISES)
    if property == NO_RULE_RAISES:
        return
    one = next((one for one in properties if one.name == property), None)
    if one is None:
        raise CheckError(f"{subject} has no property {property!r}; it has {', '.join(one.name for one in properties)}")
    try:
        if one.claim not in LIVENESS:
            _assert_always(space, path, one)
        elif len(taken) == len(steps):
            _assert_comes(space, path, one, loop)
    except PropertyError as error:
        raise StillViolated(str(error)) from None


def _walked(space: AnySpace, lines: Sequence[str], raises: bool) -> tuple[list[Any], list[Successor]]:
    """The states along the steps, and the steps, as far as they are possible. `raises`: a rule that does is the end."""
    path, taken = [space.initial], list[Successor]()
    for line in lines:
        step = next((one for one in space.successors(path[-1]) if line_of(one) == line), None)
        if step is None:
            break
        if raises and step.reaction is not None and step.reaction.error:
            raise StillViolated(f"{line}\n{step.reaction.error}")
        path.append(step.state)
        taken.append(step)
    return path, taken


def _assert_always(space: AnySpace, path: Sequence[Any], one: Property) -> None:
    """Raise when an `always` does not hold somewhere; the property of a `sometimes` is only read."""
    for number, state in enumerate(path):
        if not holds(one.holds, space.view(state)) and one.claim == "always":
            raise StillViolated(f"{name_of(one.holds)} does not hold after {number} steps")


def _assert_comes(space: AnySpace, path: Sequence[Any], one: Property, loop: int | None) -> None:
    """Raise when the run can end, or goes round fairly, without what should come; `leads_to` from the last cause on."""
    if not _is_fair(space, path, loop):
        return
    then, begin = one.holds, 0
    if one.then is not None:
        then = one.then
        causes = [number for number, state in enumerate(path) if holds(one.holds, space.view(state))]
        if not causes:
            return
        begin = causes[-1] if loop is None else min(causes[-1], loop)
    if not any(holds(then, space.view(state)) for state in path[begin:]):
        how = "can end here" if loop is None else "can go round for ever"
        raise StillViolated(f"{one.name} does not hold: {name_of(then)} never comes, and the run {how}")


def _is_fair(space: AnySpace, path: Sequence[Any], loop: int | None) -> bool:
    """Whether a run may end where the path does or, with `loop`, go round: what is owed in the round is done in it."""
    if loop is None:
        return all(step.owed is None for step in space.successors(path[-1]))
    if path[loop] != path[-1]:
        return False
    done, allowed = set[Any](), set[Any]()
    for here, after in pairwise(path[loop:]):
        for step in space.successors(here):
            allowed.add(step.owed)
            if step.state == after:
                done.add(step.owed)
    return allowed - {None} <= done
