"""Adoption: a later version of a family takes over the environment of an earlier one.

Everything is checked on a copy before anything changes hands: the interface (queued messages must be read as they were
meant), the state (migrated, or converted without loss), mailbox states, stored messages, timers.

The *way back* is the same in the other direction, and found out on the way: the earlier version could take each state
over again if the interface fits back and the state has the same layout, or if `downgrade` gives back exactly the state
that was taken over. What the earlier version knew is then never lost; what only this version knows is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

import msgspec

from ..blame import blame
from ..conform import conform
from ..conform_leaves import ConformError
from ..environment import Environment
from ..law import broken_invariant
from ..values import encode
from .dump import EnvironmentDump, assemble, decoder, read_dump
from .interface import Interface, compatible

if TYPE_CHECKING:
    from ..family_types import FamilyTypes

S = TypeVar("S")

PLACES_SHOWN: Final = 5
"""Fields named in a refusal; further ones are counted."""


class AdoptError(Exception):
    """This version cannot take over; `problems` give the reasons, a sentence each. The old engine is untouched."""

    def __init__(self, name: str, problems: list[str]) -> None:
        super().__init__(f"{name} cannot take over: {'; '.join(problems)}")
        self.problems = tuple(problems)


class NotDowngraded(msgspec.Struct, frozen=True, array_like=True):
    """In place of a downgraded state: why there is none."""

    reason: str


Downgraded = bytes | NotDowngraded
"""A state as the version before has it, encoded; b"" without a `downgrade`."""


class Adoption(Generic[S]):
    """One version of a family against one earlier interface: compared once, then used for each engine.

    A state with the same layout is taken as it is. Otherwise `migrate` gets it as builtins; without `migrate` it must
    convert to the new type with nothing left over, or the version that wrote it hands out one that does (`downgraded`).

    `forward_only` is why a state that was taken over could not be handed back; "" if each could.
    """

    def __init__(self, family: FamilyTypes[Any, Any, S, Any], new: Interface, old: Interface) -> None:
        self.old = old
        self._family = family
        self._problems = compatible(old, new)
        self._timers = {timer.name for timer in family.timers}
        self._is_same_layout = old.get("state_layout") == new["state_layout"]
        self.forward_only = "; ".join(compatible(new, old))
        if not (self.forward_only or self._is_same_layout or family.downgrade):
            self.forward_only = "the layout of the state differs, and the family has no downgrade"

    @property
    def how(self) -> str:
        """How states come over."""
        if self._is_same_layout:
            return "as it is"
        return "converted" if self._family.migrate is None else "migrated"

    def environment(self, dump: bytes, downgraded: Downgraded = b"") -> Environment[S]:
        """The environment of a dump by the earlier version; `downgraded` is as in `downgraded` below.

        Raises:
            AdoptError: interface, state, mailbox state, stored message or timer does not fit, or `migrate` raised.
        """
        family = self._family
        if self._problems:
            raise AdoptError(family.name, self._problems)
        try:
            parts = read_dump(dump)
            raw = bytes(parts.state)
            state = _state(family, raw, downgraded, same=self._is_same_layout)
            if broken := broken_invariant(family.invariants, state):
                raise ValueError(f"the state as this version has it: {broken}")
            env = assemble(family, parts, state)
        except (msgspec.ValidationError, ValueError) as error:
            raise AdoptError(family.name, [str(error)]) from error
        problems = [*_mailbox_problems(parts, env), *self._timer_problems(parts)]
        if problems:
            raise AdoptError(family.name, problems)
        if not self._is_same_layout and not self.forward_only:
            self.forward_only = self._lost_on_the_way_back(raw, state)
        return env

    def _lost_on_the_way_back(self, raw: bytes, state: S) -> str:
        """Why `downgrade` does not give back the state that was taken over."""
        assert self._family.downgrade is not None
        back = downgraded(self._family.downgrade, state)
        if isinstance(back, NotDowngraded):
            return back.reason
        if back == raw:
            return ""
        before, after = msgspec.msgpack.decode(raw), msgspec.msgpack.decode(back)
        if before == after:
            return ""
        places = [*_missing(before, after, "state"), *_missing(after, before, "state")]
        return f"downgrade does not give back {_listed(places or ['state'])}"

    def _timer_problems(self, parts: EnvironmentDump) -> Iterator[str]:
        for name, _, _ in parts.timers:
            if name not in self._timers:
                yield f"timer {name!r} is pending and no longer declared"


def downgraded(downgrade: Callable[[S], Any], state: S) -> Downgraded:
    """A state as the version before has it, or why there is none."""
    try:
        return encode(downgrade(state))
    except BaseException as error:  # as of rules
        return NotDowngraded(f"downgrade raised {blame(error)[0]}")


def _state(family: FamilyTypes[Any, Any, S, Any], raw: bytes, downgraded: Downgraded, same: bool) -> S:
    state: S
    if same:
        state = decoder(family.states)(raw)
        return state
    if family.migrate is None:
        try:
            return _converted(family, raw)
        except (msgspec.ValidationError, ValueError) as error:
            if not downgraded:
                raise
            if isinstance(downgraded, NotDowngraded):
                raise ValueError(
                    f"{error}; the version that wrote it could not hand it back: {downgraded.reason}"
                ) from None
            return _converted(family, downgraded)
    try:
        state = family.migrate(msgspec.msgpack.decode(raw))
    except BaseException as error:  # as of rules: sys.exit is an error of the function, not an end of the process
        raise ValueError(f"migrate raised {blame(error)[0]}") from error
    if type(state) not in family.state_types:
        raise ValueError(f"migrate gave {type(state).__name__}, which is not the state's type")
    try:
        conformed: S = conform(state, family.states)
    except ConformError as error:
        raise ValueError(f"migrate gave {error}") from None
    return conformed


def _converted(family: FamilyTypes[Any, Any, S, Any], raw: bytes) -> S:
    """The state in the new type. Raises ValueError if something would be lost."""
    state: S = decoder(family.states)(raw)
    lost = list(_lost(raw, encode(state), "state"))
    if lost:
        raise ValueError(
            f"the new state has no place for {_listed(lost)}; give the family a migrate function that says what "
            "becomes of it (docs/guides/reloading.md, Back to an older version)"
        )
    return state


def _mailbox_problems(parts: EnvironmentDump, env: Environment[Any]) -> Iterator[str]:
    for held in parts.mailboxes:
        mailbox = env.mailboxes[held.number]
        assert mailbox is not None
        lost = list(_lost(bytes(held.state), encode(mailbox.state), f"mailbox {held.number}"))
        if lost:
            yield f"the new state of mailbox {held.number} has no place for {_listed(lost)}"


def _listed(places: list[str]) -> str:
    more = len(places) - PLACES_SHOWN
    return ", ".join(places[:PLACES_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _lost(before: bytes, after: bytes, where: str) -> Iterator[str]:
    """The parts of an encoded value that are missing in another one."""
    if before != after:
        yield from _missing(msgspec.msgpack.decode(before), msgspec.msgpack.decode(after), where)


def _missing(before: Any, after: Any, where: str) -> Iterator[str]:
    """The parts of `before`, as builtins, that are missing in `after`."""
    if isinstance(before, dict) and isinstance(after, dict):
        for key, value in before.items():
            if key in after:
                yield from _missing(value, after[key], f"{where}.{key}")
            else:
                yield f"{where}.{key}"
    elif isinstance(before, list) and isinstance(after, list):
        for place, value in enumerate(before):
            if place < len(after):
                yield from _missing(value, after[place], f"{where}[{place}]")
            else:
                yield f"{where}[{place}]"
