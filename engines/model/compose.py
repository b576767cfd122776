"""Composition: two families become a third, whose engines are like any others.

A message goes to the part that accepts its type. Types in `hidden` are internal: when a part sends one, it goes to the
engine itself, whatever the address; from elsewhere it is a dead letter. Labels and timers read
`part.name`, child words `part-word`, the part being named by its family. When one part ends, the engine ends.

The law: seen through one part, a run of the whole is a run of that part alone, with the other's hidden messages
among its mail. State, parameters and shared mailbox states are pairs with fields `left` and `right`. How a part's rules
run unchanged on the whole: `part.py`. The idea is that of I/O automata (Lynch and Tuttle, 1987): composition on
matching actions, then hiding.

Parts share what an engine has only one of: elapsed timers of both parts are one transition, which fails as one, and a
strict whole knows the acquaintances of both parts.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from functools import reduce
from operator import or_
from typing import Any, Final, TypeVar

import msgspec

from .box import Box
from .check.definition import DefinitionError, Problem
from .check.signature import rule_messages
from .family import Family
from .mismatch import Mismatch
from .part import AnyFamily, Part
from .place import caller
from .values import Config, Value, convert

A1 = TypeVar("A1")
A2 = TypeVar("A2")
E1 = TypeVar("E1")
E2 = TypeVar("E2")

NOTHING: Final = type(None)


def compose(
    name: str,
    left: Family[A1, Any, Any, E1],
    right: Family[A2, Any, Any, E2],
    *,
    hidden: Sequence[type[Any]] = (),
) -> Family[A1 | A2, Any, Any, E1 | E2]:
    """The composition of two complete families.

    Args:
        hidden: message types that one part sends and a part accepts, and that neither enter nor leave the engine.

    Raises:
        DefinitionError: with every reason why the two cannot be composed.
    """
    place = caller(1)
    module = sys._getframe(1).f_globals.get("__name__", "")
    problems = tuple(Problem(place.file, place.line, text) for text in _problems(left, right, hidden))
    if problems:
        raise DefinitionError(name, problems)
    whole = _Whole(name, left, right, hidden).family()
    whole.place, whole._module = place, module
    return whole


def _problems(left: AnyFamily, right: AnyFamily, hidden: Sequence[type[Any]]) -> Iterator[str]:
    both = f"{left.name} and {right.name}"
    for tag in sorted(_tags(left) & _tags(right)):
        yield f"{both} both accept {tag}: a message goes to one part"
    for kind in hidden:
        if kind not in left.accepts_types | right.accepts_types:
            yield f"{kind.__name__} is hidden, and neither of {both} accepts it"
        if kind not in left.emits_types | right.emits_types:
            yield f"{kind.__name__} is hidden, and neither of {both} emits it"
    if left.name == right.name or any(
        one.name.startswith(other.name + mark) for one, other in ((left, right), (right, left)) for mark in ".-"
    ):
        yield f"{both} give the same prefix to labels, timers and children: rename one"
    if left.strategy != right.strategy:
        yield f"{left.name} has strategy {left.strategy!r}, {right.name} {right.strategy!r}: an engine has one"
    if left.strict != right.strict:
        yield f"of {both} one is strict: an engine is strict or not"


def _tags(family: AnyFamily) -> set[str]:
    """The tags of the accepted messages: messages are distinguished by tag, even two classes of one name."""
    return {str(kind.__struct_config__.tag) for kind in family.accepts_types}


class _Whole:
    """The pieces of a composition, from which its family is made."""

    def __init__(self, name: str, left: AnyFamily, right: AnyFamily, hidden: Sequence[type[Any]]) -> None:
        self.name = name
        self.families = (left, right)
        self.state = _pair(f"{name}State", left.states, right.states, Value)
        self.config: Any = _config(name, left.config, right.config)
        self.boxes = {number: self._box(number) for number in sorted({*left.boxes, *right.boxes})}
        paired = frozenset(number for number in self.boxes if self._is_paired(number))
        homes = {kind: number for number, box in self.boxes.items() for kind in box.accepts_types}
        redirected = {kind: homes[kind] for kind in hidden}
        self.hidden = frozenset(hidden) | left.hidden | right.hidden
        self.left = Part("left", left, self.boxes, paired, redirected)
        self.right = Part("right", right, self.boxes, paired, redirected)

    def family(self) -> AnyFamily:
        """The family, complete."""
        left, right = self.families
        whole = Family[Any, Any, Any, Any](
            self.name,
            accepts=_union(left.accepts_types | right.accepts_types),
            emits=_union(left.emits_types | right.emits_types),
            config=self.config,
            state=self.state(left=left.state, right=right.state),
            boxes=tuple(self.boxes.values()),
            timers=tuple(part.timer(timer) for part in (self.left, self.right) for timer in part.family.timers),
            strategy=left.strategy,
            strict=left.strict,
            spawns=tuple(dict.fromkeys((left, right, *left.spawns, *right.spawns))),
            migrate=self._migration(),
            downgrade=self._downgrade(),
            invariants=(
                *(_of("left", one) for one in left.invariants),
                *(_of("right", one) for one in right.invariants),
            ),
            intended=self._intended(),
        )
        whole.hidden = self.hidden
        parts = (self.left, self.right)
        return whole.rules(*(part.rule(rule, rule_messages(rule)) for part in parts for rule in part.family.rule_list))

    def _is_paired(self, number: int) -> bool:
        return all(number in family.boxes for family in self.families)

    def _box(self, number: int) -> Box[Any, Any]:
        left, right = (family.boxes.get(number) for family in self.families)
        if left is None or right is None:
            own = left or right
            assert own is not None
            return own
        states = _pair(f"{self.name}Mailbox{number}", left.states, right.states, Value)
        return Box(
            number,
            accepts=_union(left.accepts_types | right.accepts_types),
            start=states(left=left.start, right=right.start),
            lossy=left.lossy and right.lossy,
            stored_max=left.stored_max + right.stored_max,
        )

    def _migration(self) -> Callable[[Any], Any] | None:
        """The migration of an older state: each half by its part's migration, or as it is."""
        left, right = self.families
        if left.migrate is None and right.migrate is None:
            return None
        return lambda old: self.state(left=_migrated(left, old["left"]), right=_migrated(right, old["right"]))

    def _downgrade(self) -> Callable[[Any], Any] | None:
        """The way back of a state: each half by its part's, or as it is."""
        left, right = self.families
        if left.downgrade is None and right.downgrade is None:
            return None
        return lambda now: {"left": _downgraded(left, now.left), "right": _downgraded(right, now.right)}

    def _intended(self) -> Callable[[Mismatch], bool] | None:
        """A difference is intended if one of the parts says so."""
        judges = [family.intended for family in self.families if family.intended is not None]
        return (lambda mismatch: any(judge(mismatch) for judge in judges)) if judges else None


def _migrated(part: AnyFamily, old: Any) -> Any:
    return convert(old, part.states) if part.migrate is None else part.migrate(old)


def _of(half: str, invariant: Callable[[Any], bool]) -> Callable[[Any], bool]:
    """An invariant of a part, of the whole."""

    def holds(state: Any) -> bool:
        return invariant(getattr(state, half))

    holds.__name__ = getattr(invariant, "__name__", "invariant")
    return holds


def _downgraded(part: AnyFamily, state: Any) -> Any:
    return state if part.downgrade is None else part.downgrade(state)


def _pair(name: str, left: Any, right: Any, base: type[Any]) -> type[Any]:
    """A frozen struct with the fields `left` and `right`; a half that is always None may be left out."""
    sides = (("left", left), ("right", right))
    fields = [(side, form, None) if form is NOTHING else (side, form) for side, form in sides]
    return msgspec.defstruct(_word(name), fields, bases=(base,), module=__name__, frozen=True, kw_only=True)


def _config(name: str, left: type[Any] | None, right: type[Any] | None) -> type[Any] | None:
    if left is None and right is None:
        return None
    return _pair(f"{name}Config", left or NOTHING, right or NOTHING, Config)


def _word(name: str) -> str:
    return "".join(char if char.isalnum() else "_" for char in name)


def _union(kinds: frozenset[type[Any]]) -> Any:
    return reduce(or_, _sorted(kinds)) if kinds else None


def _sorted(kinds: frozenset[type[Any]]) -> list[type[Any]]:
    return sorted(kinds, key=lambda kind: (kind.__module__, kind.__qualname__))
