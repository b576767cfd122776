"""A most general environment: a family alone, with anything it accepts coming at any time.

So a family is checked before there is a system to put it in. The messages are sampled from the declared types and the
constants that its rules mention. So this is a bounded environment: what it finds is a fact, and what it does not find
may still be there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from engines.model.check.samples import Samples, constants_of
from engines.model.system import OUTSIDE, Envelope, Member, System
from host.check.local import AnyFamily, CheckError

ALONE: Final = "alone"
"""The name of the engine under check."""

SAMPLES: Final = 3
"""Messages of each type that come, unless another number is asked for; equal ones count once."""

TRIES: Final = 8
"""Values drawn for each message wanted."""


def environment_of(family: AnyFamily, samples: int) -> System:
    """A system of one engine of a family, and sampled messages of all types it accepts, standing.

    Raises CheckError when there is no sample of its parameters or of a message.
    """
    try:
        params = None if family.config is None else _source(family).of(family.config)
    except TypeError as error:
        raise CheckError(f"{family.name} cannot be checked alone: {error}; write a System") from None
    member = Member(ALONE, family, params)
    return System(name=f"{family.name} alone", members=[member], standing=sampled(member, samples, ()))


def sampled(member: Member, samples: int, names: Sequence[str]) -> list[Envelope]:
    """At most `samples` messages of each type that an engine accepts; `names` are among the texts in them.

    Raises CheckError when there is no sample of a message.
    """
    source = _source(member.family, names)
    try:
        return [
            Envelope(member.name, message, OUTSIDE, box.number)
            for box in member.family.boxes.values()
            for kind in sorted(box.accepts_types, key=lambda kind: kind.__qualname__)
            for message in _some(source, kind, samples)
        ]
    except TypeError as error:
        raise CheckError(f"no messages for {member.name}: {error}; write a System with messages") from None


def _source(family: AnyFamily, names: Sequence[str] = ()) -> Samples:
    parts = (part for rule in family.rule_list for part in (rule.guard, rule.action))
    return Samples(0, [*names, *(constant for part in parts for constant in constants_of(part))])


def _some(source: Samples, kind: type[Any], count: int) -> list[Any]:
    """At most `count` different messages of a type."""
    found: list[Any] = []
    for _ in range(TRIES * count):
        message = source.of(kind)
        if message not in found:
            found.append(message)
        if len(found) == count:
            break
    return found
