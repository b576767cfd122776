"""Symmetry: names that can be exchanged for one another everywhere, so that states that differ only in that are one.

The canonical state of those that differ only by an exchange is the one whose fingerprints, in order, are least. It is
found exactly. Each name gets a signature, which says what the state is for it and does not depend on which name it is.
Only exchanges that bring the signatures into ascending order can give the least state. Among names of one signature all
orders are tried, unless exchanging neighbours changes nothing: then one will do.

What the rules themselves do with names is not looked at. Rules that compare names, or name engines in their code, are
not symmetric, and the reduction then misses states. Things without an order belong in a `Map`: a tuple keeps one.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby, pairwise, permutations, product
from typing import Any, Final

from engines.model import encode
from host.check.local import CheckError
from host.check.network import WORD, fingerprint
from host.check.parts import Extra
from host.check.plain import AnySpace, PlainSpace
from host.check.rename import masked, renamed, renamed_local, renamer
from host.check.space import Space, State

SELF: Final = "~self"
OTHER: Final = "~other"

Exchange = tuple[tuple[str, str], ...]
"""Pairs of a name and the one it becomes."""


class Exchanges(ABC):
    """Groups of names that can be exchanged, for states of any kind."""

    def __init__(self, groups: Sequence[Sequence[str]]) -> None:
        self._groups = [tuple(sorted(group)) for group in groups]
        self._renamers: dict[Exchange, Callable[[str], str]] = {}

    def canonical(self, state: Any) -> Any:
        """The state that stands for all that differ from this one by an exchange of names."""
        for group in self._groups:
            state = min((self.exchanged(state, one) for one in self._exchanges(state, group)), key=self._order)
        return state

    @abstractmethod
    def exchanged(self, state: Any, exchange: Exchange) -> Any:
        """The state with names exchanged."""

    @abstractmethod
    def _signature(self, state: Any, name: str, group: tuple[str, ...]) -> int:
        """A fingerprint of a state that is the same when names are exchanged, as the state is for `name`."""

    @abstractmethod
    def _order(self, state: Any) -> Any:
        """What the least of some states is found by."""

    def _renamer(self, exchange: Exchange) -> Callable[[str], str]:
        found = self._renamers.get(exchange)
        if found is None:
            found = self._renamers[exchange] = renamer(dict(exchange))
        return found

    def _exchanges(self, state: Any, group: tuple[str, ...]) -> Iterator[Exchange]:
        """The exchanges that bring the signatures of a group into ascending order."""
        signatures = {name: self._signature(state, name, group) for name in group}
        order = sorted(group, key=lambda name: (signatures[name], name))
        ties = [tuple(names) for _, names in groupby(order, key=signatures.__getitem__)]
        choices = [(tie,) if self._is_idle(state, tie) else tuple(permutations(tie)) for tie in ties]
        for chosen in product(*choices):
            names = [name for tie in chosen for name in tie]
            yield tuple((old, new) for old, new in zip(names, group, strict=True) if old != new)

    def _is_idle(self, state: Any, tie: tuple[str, ...]) -> bool:
        """Whether exchanging the names of a tie changes nothing."""
        return all(self.exchanged(state, swap) == state for swap in swaps(tie))


class PlainSymmetry(Exchanges):
    """The exchanges of a plain transition system. Raises CheckError when the first state is not the same under each."""

    def __init__(self, space: PlainSpace, groups: Sequence[Sequence[str]]) -> None:
        super().__init__(groups)
        for group in self._groups:
            refuse_unfit(group)
            for swap in swaps(group):
                if self.exchanged(space.initial, swap) != space.initial:
                    raise CheckError(
                        f"{' and '.join(swap[0])} cannot be exchanged: the first state is not the same then"
                    )

    def exchanged(self, state: Any, exchange: Exchange) -> Any:
        """As `Exchanges.exchanged`."""
        return renamed(state, self._renamer(exchange)) if exchange else state

    def _signature(self, state: Any, name: str, group: tuple[str, ...]) -> int:
        return fingerprint(encode(masked(state, renamer({one: SELF if one == name else OTHER for one in group}))))

    def _order(self, state: Any) -> bytes:
        return encode(state)


class Symmetry(Exchanges):
    """The exchanges of one system. Raises CheckError when the first state is not the same under each."""

    def __init__(self, space: Space, groups: Sequence[Sequence[str]]) -> None:
        super().__init__(groups)
        self._space = space
        self._renamed: dict[tuple[Exchange, str, int], int] = {}
        self._masked: dict[tuple[str, str, int], int] = {}
        for group in self._groups:
            self._check(group)

    def exchanged(self, state: State, exchange: Exchange) -> State:
        """The state with names exchanged."""
        if not exchange:
            return state
        space = self._space
        network = self._part(exchange, "network", state[1])
        extra = self._part(exchange, "extra", state[2])
        locals_ = [self._part(exchange, "local", one) for one in state[3:]]
        engines = {space.parts.locals[one].name: one for one in locals_}
        return space.with_engines(engines, network, extra)

    def _check(self, group: tuple[str, ...]) -> None:
        space = self._space
        refuse_unfit(group)
        missing = sorted(set(group) - set(space.rosters[space.initial[0]].names))
        if missing:
            raise CheckError(f"{missing[0]} is said to be symmetric, and is no engine of the system")
        durable = {member.name for member in space.system.members if member.is_durable}
        standing = {space.parts.message(envelope) for envelope in space.system.standing}
        for swap in swaps(group):
            first, second = swap[0]
            is_same = self.exchanged(space.initial, swap) == space.initial
            is_same = is_same and {self._part(swap, "message", one) for one in standing} == standing
            if not is_same or (first in durable) != (second in durable):
                raise CheckError(f"{first} and {second} cannot be exchanged: the system is not the same then")

    def _signature(self, state: State, name: str, group: tuple[str, ...]) -> int:
        parts = [("local", one) for one in state[3:]]
        parts += [("message", one) for one in self._space.network.messages(state[1])]
        parts.append(("extra", state[2]))
        return sum(self._mask(name, kind, number, group) for kind, number in parts) & WORD

    def _mask(self, name: str, kind: str, number: int, group: tuple[str, ...]) -> int:
        """A fingerprint of a part that is the same when names are exchanged, as it is for `name`."""
        found = self._masked.get((name, kind, number))
        if found is None:
            parts = self._space.parts
            rename = renamer({one: SELF if one == name else OTHER for one in group})
            value: Any
            if kind == "local":
                local = parts.locals[number]
                value = (local.configuration, local.env, local.status, local.clock_ns, local.cause, local.answers)
            else:
                value = parts.messages[number] if kind == "message" else parts.extras[number]
            found = self._masked[name, kind, number] = fingerprint(encode([kind, masked(value, rename)]))
        return found

    def _part(self, exchange: Exchange, kind: str, number: int) -> int:
        """The number of a part with names exchanged."""
        found = self._renamed.get((exchange, kind, number))
        if found is None:
            space, rename = self._space, self._renamer(exchange)
            parts = space.parts
            if kind == "local":
                found = parts.local(renamed_local(parts.locals[number], rename))
            elif kind == "message":
                found = parts.message(renamed(parts.messages[number], rename))
            elif kind == "extra":
                extra = parts.extras[number]
                found = parts.extra(Extra(renamed(extra.history, rename), extra.faults_left))
            else:
                found = space.network.renamed(number, lambda one: self._part(exchange, "message", one))
            self._renamed[exchange, kind, number] = found
        return found

    def _order(self, state: State) -> tuple[int, ...]:
        """Fingerprints in order: the same in every process, whatever the numbers of the parts."""
        space = self._space
        prints = space.parts.local_prints
        head = (space.network.hashes[state[1]], space.parts.extra_prints[state[2]])
        return (*head, *(prints[one] for one in state[3:]))


def symmetry_of(space: AnySpace, groups: Sequence[Sequence[str]]) -> Exchanges:
    """The exchanges of the names in these groups. Raises CheckError as the classes do."""
    return Symmetry(space, groups) if isinstance(space, Space) else PlainSymmetry(space, groups)


def swaps(names: Sequence[str]) -> Iterator[Exchange]:
    """The exchanges of neighbours, of which all others are made."""
    return (((first, second), (second, first)) for first, second in pairwise(names))


def refuse_unfit(group: tuple[str, ...]) -> None:
    """Raise CheckError for a group that is none."""
    if len(group) < 2 or len(set(group)) < len(group) or "" in group:
        raise CheckError(f"symmetric are two or more names, each once: {', '.join(map(repr, group))}")
