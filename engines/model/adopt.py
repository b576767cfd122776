"""Adoption: a later version of a family takes over the environment of an earlier one.

Everything is checked on a copy, before anything changes hands: the interface (what is queued must be read as it was
meant), the state (migrated, or converted without loss), mailbox states, stored messages, timers.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from .conform import conform
from .conform_leaves import ConformError
from .dump import EnvironmentDump, assemble, decoder, read_dump
from .environment import Environment
from .interface import Interface, compatible
from .values import encode

if TYPE_CHECKING:
    from .family import Family

S = TypeVar("S")


class AdoptError(Exception):
    """A version that cannot take over; `problems` say why, a sentence each. The old engine is untouched."""

    def __init__(self, name: str, problems: list[str]) -> None:
        super().__init__(f"{name} cannot take over: {'; '.join(problems)}")
        self.problems = tuple(problems)


def adopt_environment(family: Family[Any, Any, S, Any], dump: bytes, old: Interface) -> Environment[S]:
    """The environment of a dump by the version with interface `old`, for this version.

    A state whose layout is the old one is taken as it is. Otherwise `migrate` gets it as builtins; without `migrate` it
    must convert to the new type with nothing left over.

    Raises:
        AdoptError: interface, state, mailbox state, stored message or timer does not fit, or `migrate` raised.
    """
    new = family.interface()
    problems = compatible(old, new)
    if problems:
        raise AdoptError(family.name, problems)
    try:
        parts = read_dump(dump)
        state = _state(family, parts, same=old.get("state_layout") == new["state_layout"])
        env = assemble(family, parts, state)
    except (msgspec.ValidationError, ValueError) as error:
        raise AdoptError(family.name, [str(error)]) from error
    problems = [*_mailbox_problems(parts, env), *_timer_problems(family, env)]
    if problems:
        raise AdoptError(family.name, problems)
    return env


def _state(family: Family[Any, Any, S, Any], parts: EnvironmentDump, same: bool) -> S:
    raw = bytes(parts.state)
    if family.migrate is None or same:
        state: S = decoder(family.states)(raw)
        lost = list(_lost(msgspec.msgpack.decode(raw), msgspec.msgpack.decode(encode(state)), "state"))
        if lost:
            raise ValueError(f"the new state has no place for {', '.join(lost)}; give the family a migrate function")
        return state
    try:
        state = family.migrate(msgspec.msgpack.decode(raw))
    except Exception as error:
        raise ValueError(f"migrate raised {type(error).__name__}: {error}") from error
    if type(state) not in family.state_types:
        raise ValueError(f"migrate gave {type(state).__name__}, which is not the state's type")
    try:
        conformed: S = conform(state, family.states)
    except ConformError as error:
        raise ValueError(f"migrate gave {error}") from None
    return conformed


def _mailbox_problems(parts: EnvironmentDump, env: Environment[Any]) -> Iterator[str]:
    for held in parts.mailboxes:
        mailbox = env.mailboxes[held.number]
        assert mailbox is not None
        before, after = (msgspec.msgpack.decode(raw) for raw in (bytes(held.state), encode(mailbox.state)))
        for lost in _lost(before, after, f"mailbox {held.number}"):
            yield f"the new state of mailbox {held.number} has no place for {lost}"


def _timer_problems(family: Family[Any, Any, Any, Any], env: Environment[Any]) -> Iterator[str]:
    names = {timer.name for timer in family.timers}
    for name in env.timers:
        if name not in names:
            yield f"timer {name!r} is pending and no longer declared"


def _lost(before: Any, after: Any, where: str) -> Iterator[str]:
    """What of `before`, as builtins, is missing in `after`."""
    if isinstance(before, dict) and isinstance(after, dict):
        for key, value in before.items():
            if key in after:
                yield from _lost(value, after[key], f"{where}.{key}")
            else:
                yield f"{where}.{key}"
    elif isinstance(before, list) and isinstance(after, list):
        for place, value in enumerate(before):
            if place < len(after):
                yield from _lost(value, after[place], f"{where}[{place}]")
            else:
                yield f"{where}[{place}]"
