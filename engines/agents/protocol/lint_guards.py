"""Rules about guards: their names and types, which never or always hold, and which decide between moves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import NamedTuple

from .guards import (
    Expr,
    GuardError,
    NotAnalysable,
    always,
    canonical_text,
    check_analysable,
    gap,
    known_names,
    never,
    overlap,
    parse_guard,
    parse_value,
    problems,
    value_problems,
)
from .lint_graph import reachable
from .model import ANY, Field, Guard, Invariant, Place, Transition
from .subject import Subject

GUARDS_MAX = 20
"""So many guards of one event are looked at together."""

TRIES_MAX = 100_000
PAIRS_MAX = 5_000
"""So many pairs of guards are compared; a file with more has hundreds of moves between the same two states."""


class Condition(NamedTuple):
    """The guard of a transition that can be analysed; None holds always."""

    transition: Transition
    expr: Expr | None
    known: Mapping[str, Field]


def check_guards(subject: Subject) -> None:
    """Add the findings about guards, values, invariants, and about moves that overlap."""
    whole = subject.whole
    conditions: list[Condition] = []
    for one in whole.transitions:
        known = known_names(whole, one.requires)
        _check_values(subject, one, known)
        if one.guard is None:
            conditions.append(Condition(one, None, known))
            continue
        expr = _checked(subject, one.guard, known)
        if expr is not None and not one.guard.is_opaque and _is_analysable(subject, one.guard, expr, known):
            conditions.append(Condition(one, expr, known))
            _check_truth(subject, one.guard, expr, known)
    for invariant in whole.invariants:
        _check_invariant(subject, invariant)
    for migration in whole.migrations:
        if migration.guard is not None:
            _checked(subject, migration.guard, known_names(whole))
    _check_pairs(subject, conditions)
    _check_gaps(subject, conditions)


def _checked(subject: Subject, guard: Guard, known: Mapping[str, Field]) -> Expr | None:
    """The guard, if its names and types are right; else what is wrong is added."""
    text = _original(subject, guard)
    try:
        expr = parse_guard(text)
    except GuardError:
        return None
    wrong = problems(expr, known, subject.whole)
    for problem in wrong:
        subject.add(problem.code, _at(guard, problem.offset), problem.message, problem.hint)
    return None if wrong else expr


def _original(subject: Subject, guard: Guard) -> str:
    """The text that people wrote, where it is on one line, so that offsets in it are columns; else the canonical."""
    if guard.place.line > len(subject.lines):
        return guard.text
    text = subject.lines[guard.place.line - 1][guard.place.column - 1 :].partition("`")[0]
    try:
        return text if canonical_text(parse_guard(text)) == guard.text else guard.text
    except GuardError:
        return guard.text


def _at(guard: Guard, offset: int) -> Place:
    return Place(guard.place.line, guard.place.column + offset)


def _is_analysable(subject: Subject, guard: Guard, expr: Expr, known: Mapping[str, Field]) -> bool:
    try:
        check_analysable(expr, known)
    except NotAnalysable as error:
        hint = f"compare each name with constants, or write 'opaque: `{guard.text}`'"
        subject.add("E-GUARD-OPAQUE", _at(guard, error.offset), error.message, hint)
        return False
    return True


def _check_truth(subject: Subject, guard: Guard, expr: Expr, known: Mapping[str, Field]) -> None:
    length = len(guard.text)
    if never(expr, known):
        subject.add("W-NEVER", guard.place, f"guard `{guard.text}` is never true", "no facts fulfil it", length=length)
    elif always(expr, known):
        subject.add("W-ALWAYS", guard.place, f"guard `{guard.text}` is never false", "remove it", length=length)


def _check_values(subject: Subject, transition: Transition, known: Mapping[str, Field]) -> None:
    types = {one.name: one.type for one in subject.whole.context}
    for setting in transition.sets:
        if setting.field not in types:
            continue
        try:
            term = parse_value(setting.expression)
        except GuardError:
            continue
        for problem in value_problems(term, types[setting.field], known, subject.whole):
            word = setting.expression.partition("(")[0]
            code = "E-TYPE" if problem.code == "E-GUARD-TYPE" else problem.code
            subject.add(code, subject.locate(setting.place, word), problem.message, problem.hint)


def _check_invariant(subject: Subject, invariant: Invariant) -> None:
    known = known_names(subject.whole)
    expr = _checked(subject, invariant.guard, known)
    if expr is None or invariant.guard.is_opaque or not _is_analysable(subject, invariant.guard, expr, known):
        return
    if never(expr, known):
        reached = reachable(subject)
        state = next((one for one in invariant.states or subject.states if one in reached), None)
        if state is not None:
            message = f"invariant '{invariant.id}' can never hold, and state '{state}' can be reached"
            subject.add(
                "E-UNSAT-INV", invariant.guard.place, message, "no facts fulfil it", length=len(invariant.guard.text)
            )


def _rank(condition: Condition) -> tuple[int, int]:
    """How specific the source is, and the priority; lower ranks win."""
    sources = condition.transition.sources
    specific = 2 if sources == (ANY,) else 0 if len(sources) == 1 else 1
    return specific, -condition.transition.priority


def _groups(subject: Subject, conditions: list[Condition]) -> Iterator[tuple[str, list[Condition]]]:
    """Conditions of moves that a request or an event in one state must choose from."""
    by_index = {one.transition.index: one for one in conditions}
    groups: dict[tuple[str, str, str], list[Condition]] = {}
    for move in subject.moves:
        condition = by_index.get(move.transition.index) if move.transition else None
        if condition is not None:
            one = condition.transition
            target = "" if one.actors == ("engine",) else one.target
            groups.setdefault((move.source, target, one.event), []).append(condition)
    for (source, _, _), group in groups.items():
        if len(group) > 1:
            yield source, sorted(group, key=lambda one: (_rank(one), one.transition.index))


def _check_pairs(subject: Subject, conditions: list[Condition]) -> None:
    seen: set[tuple[int, int]] = set()
    for source, earlier, later in islice(_pairs(subject, conditions), TRIES_MAX):
        pair = (earlier.transition.index, later.transition.index)
        if pair not in seen and len(seen) < PAIRS_MAX:
            seen.add(pair)
            _check_pair(subject, source, earlier, later)


def _pairs(subject: Subject, conditions: list[Condition]) -> Iterator[tuple[str, Condition, Condition]]:
    for source, group in _groups(subject, conditions):
        for at, later in enumerate(group):
            for earlier in group[:at]:
                yield source, earlier, later


def _actors(transition: Transition) -> set[str]:
    return set(transition.actors or ("agent",))


def _check_pair(subject: Subject, source: str, earlier: Condition, later: Condition) -> None:
    one, other = earlier.transition, later.transition
    if not _actors(one) & _actors(other):
        return
    differ = _rank(earlier) == _rank(later) and _deeds(one) != _deeds(other)
    witness = _overlap(earlier, later) if differ else None
    if witness is not None and "engine" in _actors(one) | _actors(other) and one.target == other.target:
        _report(subject, "E-AMBIGUOUS", one, other, witness)
    elif _is_shadow(source, earlier, later):
        message = f"never taken: the transition of line {one.place.line} always comes before it"
        subject.add("W-SHADOWED", other.place, message, "remove one of them, or give the other a guard")
    elif witness is not None:
        _report(subject, "W-OVERLAP", one, other, witness)


def _report(subject: Subject, code: str, one: Transition, other: Transition, witness: str) -> None:
    message = f"the order decides between this and the transition of line {one.place.line}, for example with {witness}"
    subject.add(code, other.place, message, "make the guards exclude each other, or set a priority")


def _is_shadow(source: str, earlier: Condition, later: Condition) -> bool:
    """Whether the earlier one is always taken where the later one could be, and the later one nowhere else."""
    one, other = earlier.transition, later.transition
    covers = one.guard is None or (other.guard is not None and one.guard.text == other.guard.text)
    is_plain = not (one.limits or one.cooldown_ns or one.requires)
    return covers and is_plain and _actors(one) >= _actors(other) and set(other.sources) <= {source}


def _deeds(transition: Transition) -> tuple[object, ...]:
    """What a transition does, without places."""
    return (
        transition.target,
        tuple((one.field, one.expression) for one in transition.sets),
        tuple((one.message, one.to) for one in transition.sends),
        tuple((one.kind, one.argument) for one in transition.effects),
        tuple(one.name for one in transition.requires),
    )


def _overlap(earlier: Condition, later: Condition) -> str | None:
    """Facts under which both hold."""
    known = {**earlier.known, **later.known}
    exprs = [one.expr for one in (earlier, later) if one.expr is not None]
    try:
        if len(exprs) < 2:
            return "any facts" if not exprs else str(overlap(exprs[0], exprs[0], known) or "") or None
        witness = overlap(exprs[0], exprs[1], known)
    except NotAnalysable:
        return None
    return None if witness is None else str(witness)


def _check_gaps(subject: Subject, conditions: list[Condition]) -> None:
    """Events that a state reacts to only under some facts."""
    by_index = {one.transition.index: one for one in conditions}
    groups: dict[tuple[str, str], list[Condition | None]] = {}
    for move in subject.moves:
        if move.transition is not None and move.transition.event:
            key = (move.source, move.transition.event)
            groups.setdefault(key, []).append(by_index.get(move.transition.index))
    for (source, event), group in groups.items():
        clear = [one for one in group if one is not None]
        exprs = [one.expr for one in clear if one.expr is not None]
        if len(exprs) < len(group) or len(exprs) > GUARDS_MAX:
            continue
        try:
            witness = gap(exprs, {name: field for one in clear for name, field in one.known.items()})
        except NotAnalysable:
            continue
        if witness is not None:
            message = f"in state '{source}', event '{event}' has no effect with {witness}"
            hint = "add a transition for the other cases, or say in prose why there is none"
            subject.add("W-GAP", clear[0].transition.place, message, hint)
