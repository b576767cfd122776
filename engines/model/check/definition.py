"""Mistakes in a family, found when it is defined: all at once, each with file and line.

Whatever mypy can find it finds. This checks again, because not everybody runs mypy, and checks more than types can say:
unreachable rules, messages no rule takes, timers without a rule, types that are mutable inside. A worker skips it
(`unchecked`), because the process that inspected the family ran it on the same sources.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from ..box import NUMBER_MAX, Box
from ..conform import conform
from ..conform_leaves import ConformError
from ..forms import members
from ..place import Place, of_class
from ..rule import Rule
from ..values import Decoder, Message
from .immutable import Locate, faults
from .reach import AnyRule, unreachable
from .signature import SignatureError, rule_messages
from .signature_check import signature_problems

if TYPE_CHECKING:
    from ..declaration import Declaration
    from ..family_types import FamilyTypes

STRATEGIES: Final = ("first", "last", "all", "one", "unique")


class Problem(NamedTuple):
    """One mistake: its place, and what is wrong."""

    file: str
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.text}"


class DefinitionError(TypeError):
    """A family that is not well defined; `problems` are all of its mistakes, in the order of their places."""

    def __init__(self, name: str, problems: Iterable[Problem]) -> None:
        self.problems = tuple(sorted(dict.fromkeys(problems)))
        super().__init__(f"{name} is not well defined:\n" + "\n".join(map(str, self.problems)))


_checking = True


@contextmanager
def unchecked() -> Iterator[None]:
    """Families completed inside are not checked: for processes whose families another process has checked."""
    global _checking
    before, _checking = _checking, False
    try:
        yield
    finally:
        _checking = before


def check_family(family: FamilyTypes[Any, Any, Any, Any], rules: Sequence[AnyRule]) -> None:
    """Raise DefinitionError with everything that is wrong, unless `unchecked`."""
    if not _checking:
        return
    strangers = [rule for rule in rules if not isinstance(rule, Rule)]
    if strangers:
        names = ", ".join(getattr(one, "__name__", repr(one)) for one in strangers)
        raise DefinitionError(family.name, [_problem(family.place, f"not a rule, decorate it with @rule: {names}")])
    _raise(
        family.name,
        *_declaration_problems(family),
        *_state_problems(family),
        *_rule_problems(family, rules),
        *_timer_problems(family, rules),
    )


def check_device(device: Declaration[Any, Any, Any], twin: Declaration[Any, Any, Any] | None) -> None:
    """Raise DefinitionError with everything that is wrong, unless `unchecked`."""
    if not _checking:
        return
    problems = list(_declaration_problems(device))
    if twin is not None:
        for what, mine, other in (
            ("accepts", _mailboxes(device), _mailboxes(twin)),
            ("emits", device.emits_types, twin.emits_types),
            ("is configured with", device.config, twin.config),
        ):
            if mine != other:
                problems.append(_problem(device.place, f"the twin {twin.name} differs in what it {what}"))
    _raise(device.name, *problems)


def _raise(name: str, *problems: Problem) -> None:
    if problems:
        raise DefinitionError(name, problems)


def _problem(place: Place, text: str) -> Problem:
    return Problem(place.file, place.line, text)


def _mailboxes(declared: Declaration[Any, Any, Any]) -> dict[int, frozenset[type[Any]]]:
    return {number: box.accepts_types for number, box in declared.boxes.items()}


def _declaration_problems(declared: Declaration[Any, Any, Any]) -> Iterator[Problem]:
    """Mistakes in messages, mailboxes and parameters."""
    kinds = dict.fromkeys((*members(declared.accepts), *members(declared.emits)))
    messages = [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, Message)]
    for kind in kinds:
        if kind not in messages:
            yield _problem(declared.place, f"{getattr(kind, '__name__', kind)} is no message; derive it from Message")
        else:
            yield from _type_problems(kind, kind.__name__, partial(of_class, kind))
    tags = Counter(kind.__struct_config__.tag for kind in messages)
    for kind in messages:
        tag = kind.__struct_config__.tag
        if tags[tag] > 1:
            yield _problem(
                of_class(kind), f"{kind.__module__}.{kind.__qualname__}: another message has the tag {tag!r}"
            )
    yield from _box_problems(declared)
    if declared.config is not None:
        yield from _type_problems(declared.config, declared.config.__name__, partial(of_class, declared.config))


def _box_problems(declared: Declaration[Any, Any, Any]) -> Iterator[Problem]:
    numbers = Counter(box.number for box in declared.declared_boxes)
    owners: dict[Any, Box[Any, Any]] = {}
    for box in declared.declared_boxes:
        if not 0 <= box.number <= NUMBER_MAX:
            yield _problem(box.place, f"mailbox {box.number}: numbers go from 0 to {NUMBER_MAX}")
        if numbers[box.number] > 1:
            yield _problem(box.place, f"mailbox {box.number} is declared more than once")
        for kind in box.accepts_types:
            if kind in owners:
                yield _problem(box.place, f"{kind.__name__} is taken by mailbox {owners[kind].number} already")
            owners[kind] = box
            if kind not in declared.accepts_types:
                yield _problem(box.place, f"{kind.__name__} is missing from accepts= of {declared.name}")
        what = f"the state of mailbox {box.number}"
        yield from _type_problems(box.states, what, partial(_itself, box.place))
        yield from _start_problems(box.start, box.states, what, box.place)
    if any(box.number == 0 for box in declared.declared_boxes):
        for kind in declared.accepts_types - owners.keys():
            yield _problem(declared.place, f"{getattr(kind, '__name__', kind)} is accepted by no mailbox")


def _state_problems(family: FamilyTypes[Any, Any, Any, Any]) -> Iterator[Problem]:
    """The state, and choices from a list."""
    yield from _type_problems(family.states, "the state", partial(_itself, family.place))
    if family.state_types & {tuple, list}:
        yield _problem(family.place, "a tuple cannot be a state, an action's effects are one; put it into a Value")
    if not isinstance(family.state, tuple(family.state_types)):
        yield _problem(family.place, f"the start state {family.state!r} is none of states=")
    else:
        yield from _start_problems(family.state, family.states, "the start state", family.place)
    if family.strategy not in STRATEGIES:
        yield _problem(family.place, f"strategy {family.strategy!r}: it is one of {', '.join(STRATEGIES)}")
    for name, count in Counter(timer.name for timer in family.timers).items():
        if count > 1:
            yield _problem(family.place, f"timer {name!r} is declared more than once")


def _start_problems(start: Any, form: Any, what: str, place: Place) -> Iterator[Problem]:
    """A start value that does not fit its type."""
    try:
        conform(start, form)
    except ConformError as error:
        yield _problem(place, f"{what}: {error}")


def _itself(place: Place) -> Place:
    return place


def _type_problems(form: Any, where: str, place: Locate) -> Iterator[Problem]:
    """Mutable types within a type, and types that the codec cannot distinguish."""
    found = [_problem(*fault) for fault in faults(form, where, place)]
    yield from found
    if not found:
        try:
            Decoder[Any](form)
        except TypeError as error:
            text = str(error).splitlines()[0]
            yield _problem(place(), f"{where} cannot be read back: {text} (members of a union of Values need tag=True)")


def _rule_problems(family: FamilyTypes[Any, Any, Any, Any], rules: Sequence[AnyRule]) -> Iterator[Problem]:
    taken: set[type[Any]] = set()
    names = Counter(rule.name for rule in rules)
    readable = []
    for rule in rules:
        if names[rule.name] > 1:
            yield _problem(rule.place, f"another rule is named {rule.name!r}")
        yield from (Problem(place.file, place.line, text) for place, text in signature_problems(family, rule))
        try:
            kinds = rule_messages(rule)
        except SignatureError:
            continue
        taken |= set(kinds)
        readable.append((rule, kinds))
    if len(readable) == len(rules):
        for kind in sorted(family.accepts_types - taken, key=str):
            yield _problem(family.place, f"no rule takes {getattr(kind, '__name__', kind)}")
    for rule, cause in unreachable(readable, family.accepts_types, family.strategy):
        yield _problem(rule.place, f"{rule.name} is never reached: {cause}")


def _timer_problems(family: FamilyTypes[Any, Any, Any, Any], rules: Sequence[AnyRule]) -> Iterator[Problem]:
    handled = {rule.timer for rule in rules if rule.timer is not None}
    for timer in family.timers:
        if timer not in handled:
            yield _problem(family.place, f"no rule takes timer {timer.name!r}")
    for rule in rules:
        if rule.timer is not None and rule.timer not in family.timers:
            yield _problem(rule.place, f"{rule.name} takes timer {rule.timer.name!r}, which is missing from timers=")
