"""What speaks against a transition: the actor, the state, limits, waiting times, the guard, and what it would set."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal

from .decide_choice import permits
from .decide_fields import fits, read_fields
from .decide_record import HOUR_NS, Record
from .decide_values import Wish
from .guards import Constant, GuardError, evaluate, names_of, parse_guard, parse_value, unknown_names, value_of
from .guards.syntax import constant_text
from .model import SELF, SYSTEM_STATES, Actor, Datum, Protocol, Transition


def forbidding(protocol: Protocol, record: Record, edge: Transition, actor: Actor, now_ns: int) -> Iterator[str]:
    """What speaks against a transition whatever else is the case."""
    actors = edge.actors or ("agent",)
    if actor not in actors:
        yield f"only {' or '.join(actors)} may do this"
    target = record.state if edge.target == SELF else edge.target
    if target in SYSTEM_STATES and actor == "agent":
        yield f"'{target}' is entered by the engine only"
    role = next((one for one in protocol.roles if one.id == record.role), None)
    if role is not None and role.states and target not in (*role.states, *SYSTEM_STATES):
        yield f"role '{role.id}' may not be in '{target}'"
    state = protocol.state(record.state)
    for one in edge.sends:
        if state is not None and not permits(state, "send", one.message):
            yield f"state '{state.id}' may not send '{one.message}'"
    yield from _used_up(record, edge, now_ns)


def _used_up(record: Record, edge: Transition, now_ns: int) -> Iterator[str]:
    taken = record.taken.get(edge.index)
    if taken is None:
        return
    used = {
        "visit": taken.in_visit if taken.visit == record.visit else 0,
        "session": taken.in_session if taken.session == record.session else 0,
        "hour": sum(one > now_ns - HOUR_NS for one in taken.within_hour),
    }
    for limit in edge.limits:
        if used[limit.period] >= limit.count:
            yield f"limit of {limit.count} per {limit.period} is used up"


def waits(protocol: Protocol, record: Record, edge: Transition, actor: Actor, now_ns: int) -> Iterator[str]:
    """For how long a transition has to wait."""
    state = protocol.state(record.state)
    shortest_ns = state.min_duration_ns if state is not None and actor != "admin" else 0
    if state is not None and shortest_ns and (left := record.since_ns + shortest_ns - now_ns) > 0:
        yield f"'{state.id}' lasts {_seconds(state.min_duration_ns)} at least; {_seconds(left)} are left"
    taken = record.taken.get(edge.index)
    if taken is not None and edge.cooldown_ns and (left := taken.last_ns + edge.cooldown_ns - now_ns) > 0:
        yield f"cool-down of {_seconds(edge.cooldown_ns)}; {_seconds(left)} are left"


def _seconds(time_ns: int) -> str:
    return f"{time_ns / 1e9:.3f}".rstrip("0").rstrip(".") + " s"


def guard_problems(edge: Transition, names: Mapping[str, Datum]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What the guard awaits, and how it forbids."""
    if edge.guard is None:
        return (), ()
    holds, awaiting, seen = judged(edge.guard.text, names)
    if holds is None:
        awaiting = tuple(one for one in awaiting if "request." not in one)  # which are missing or invalid themselves
        return ((f"guard `{edge.guard.text}`: {', '.join(awaiting)} unknown",) if awaiting else ()), ()
    return (), (() if holds else (f"guard `{edge.guard.text}` is false: {seen}",))


def judged(text: str, names: Mapping[str, Datum]) -> tuple[bool | None, tuple[str, ...], str]:
    """Whether a guard holds, what is unknown in it, and the facts that it was judged by, in words."""
    try:
        expr = parse_guard(text)
    except GuardError as error:
        return None, (f"it cannot be read: {error.message}",), ""
    keys = {one.key: value_of(one, names) for one in names_of(expr)}
    seen = ", ".join(f"{key} = {_shown(value)}" for key, value in keys.items() if value is not None)
    return evaluate(expr, names), unknown_names(expr, names), seen


def _shown(value: Datum) -> str:
    if isinstance(value, tuple):
        return f"{len(value)} items"
    kind: Literal["bool", "text", "number"] = "number"
    if isinstance(value, bool | str):
        kind = "bool" if isinstance(value, bool) else "text"
    return constant_text(Constant(value, kind))


def given_context(
    protocol: Protocol, edge: Transition, wish: Wish
) -> tuple[dict[str, Datum], tuple[str, ...], tuple[str, ...]]:
    """Fields of a request beside the required ones: those for the context, what is invalid, and what has no place."""
    if not wish.fields:
        return {}, (), ()
    declared = {one.name for one in edge.requires}
    rest = {name: value for name, value in wish.fields.items() if name not in declared}
    fields = tuple(one for one in protocol.context if one.name in rest)
    values, _, invalid = read_fields(fields, rest)
    engines = tuple(f"{one.name}: only the engine writes it" for one in fields if one.writable_by == "engine")
    named = {one.name for one in fields}
    return values, (*invalid, *engines), tuple(sorted(name for name in rest if name not in named))


def settings(
    protocol: Protocol, edge: Transition, names: Mapping[str, Datum]
) -> tuple[dict[str, Datum], tuple[str, ...], tuple[str, ...]]:
    """What a transition sets, what is awaited for it, and what does not fit."""
    if not edge.sets:
        return {}, (), ()
    values: dict[str, Datum] = {}
    unset: list[str] = []
    unfit: list[str] = []
    fields = {one.name: one for one in protocol.context}
    for one in edge.sets:
        name = one.field.removeprefix("context.")
        value = value_of(parse_value(one.expression), names)
        field = fields.get(name)
        if value is None:
            source = {field.name for field in edge.requires if field.is_optional}
            if one.expression.removeprefix("request.") not in source:
                unset.append(f"context.{name} = {one.expression}: unknown")
        elif field is not None and (wrong := fits(field.type, value)):
            unfit.append(f"context.{name}: {wrong}")
        else:
            values[name] = value
    return values, tuple(unset), tuple(unfit)
