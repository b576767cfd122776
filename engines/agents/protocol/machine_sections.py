"""The sections States and Transitions: the forms of their items."""

from __future__ import annotations

import re
from typing import Any, Final, get_args

from . import quantities
from .fields import check_id, shown
from .findings import Unreadable
from .items import Key, Kind, cannot_read, headed, with_text
from .model import ANY, SYSTEM_STATES, Actor, Capability, Flag, Limit, State, Transition
from .phrases import (
    RESERVED,
    across,
    assignment,
    duration,
    guard,
    joined,
    one_id,
    prose,
    read_effects,
    read_fields,
    sending,
    several,
    timeout,
    whole,
    write_assignment,
    write_duration,
    write_effects,
    write_fields,
    write_guard,
    write_sending,
    write_timeout,
)
from .source import Head

FLAGS: Final[tuple[str, ...]] = get_args(Flag)
ACTORS: Final[tuple[str, ...]] = get_args(Actor)
STATE_FORM: Final = "name (flags): text"
TRANSITION_FORM: Final = "from → to"
LIMIT_PERIODS: Final = ("visit", "session", "hour")


def _read_state(head: Head) -> dict[str, Any]:
    first, text = headed(head)
    match = re.fullmatch(r"(\S+?)\s*(?:\(([^()]*)\))?", first.text)
    if match is None:
        words = first.text.split()
        raise cannot_read("state", STATE_FORM, first, words[1] if len(words) > 1 else first.text)
    name = check_id(first.cut(*match.span(1)), (*RESERVED, *SYSTEM_STATES))
    flags = [one.text for one in first.cut(*match.span(2)).split()] if match[2] else []
    for flag in flags:
        if flag not in FLAGS:
            hint = f"flags: {', '.join(FLAGS)}"
            raise Unreadable("E-ITEM", first.place(match.start(2)), f"{shown(flag)} is no flag of a state", hint)
    ordered = tuple(flag for flag in FLAGS if flag in flags)
    return {"id": name, "flags": ordered, "text": text, "place": head.place()}


def _write_state(state: State) -> str:
    flags = f" ({', '.join(state.flags)})" if state.flags else ""
    return with_text(f"{state.id}{flags}", state.text)


def capability(head: Head) -> Capability:
    """`send(note, task_done)`, or `spawn`. Raises Unreadable."""
    match = re.fullmatch(r"(send|receive|tool|spawn)\s*(?:\(([^()]*)\))?", head.text)
    if match is None:
        hint = "send(x), receive(x), tool(x) or spawn(x); without parentheses, all of them"
        raise Unreadable("E-ITEM", head.place(), f"{shown(head.text)} is no capability", hint, length=len(head.text))
    of = tuple(one_id(one) for one in head.cut(*match.span(2)).split()) if match[2] else ()
    kind: Any = match[1]
    return Capability(kind, of)


def write_capability(value: Capability) -> str:
    """As `capability` reads it."""
    return f"{value.kind}({', '.join(value.of)})" if value.of else value.kind


def _read_transition(head: Head) -> dict[str, Any]:
    first, text = headed(head)
    left, right = across(first, "transition", TRANSITION_FORM)
    match = re.fullmatch(r"(\S+)(?:\s+on\s+(\S+))?(?:\s+by\s+(.+))?", right.text, re.DOTALL)
    if match is None:
        words = right.text.split()
        raise cannot_read(
            "transition", "from → to on event by actor", first, words[1] if len(words) > 1 else right.text
        )
    sources, excepted = _read_sources(left)
    actors = [one.text for one in right.cut(*match.span(3)).split()] if match[3] else []
    for actor in actors:
        if actor not in ACTORS:
            hint = f"actors: {', '.join(ACTORS)}"
            raise Unreadable("E-ITEM", right.place(match.start(3)), f"{shown(actor)} is no actor", hint)
    given = tuple(one for one in ACTORS if one in actors)
    return {
        "sources": sources,
        "excepted": excepted,
        "target": one_id(right.cut(*match.span(1))),
        "event": one_id(right.cut(*match.span(2))) if match[2] else "",
        "actors": () if given == ("agent",) else given,
        "text": text,
        "place": head.place(),
    }


def _read_sources(head: Head) -> tuple[tuple[str, ...], tuple[str, ...]]:
    match = re.match(r"any(?:\s+except\s+|$)", head.text)
    if match is None:
        for one in head.split():
            if one.text == ANY:
                raise Unreadable("E-ITEM", one.place(), "'any' stands for each state, alone", "write 'any except a, b'")
        return tuple(dict.fromkeys(_source(one) for one in head.split())), ()
    return (ANY,), tuple(dict.fromkeys(_source(one) for one in head.cut(match.end()).split()))


def _source(head: Head) -> str:
    if " " in head.text:
        raise cannot_read("transition", TRANSITION_FORM, head, head.text.split()[1])
    return one_id(head)


def _write_transition(value: Transition) -> str:
    sources = ", ".join(value.sources)
    if value.excepted:
        sources += f" except {', '.join(value.excepted)}"
    event = f" on {value.event}" if value.event else ""
    actors = f" by {', '.join(value.actors)}" if value.actors else ""
    return with_text(f"{sources} → {value.target}{event}{actors}", value.text)


def limit(head: Head) -> Limit:
    """`3 per visit`. Raises Unreadable."""
    match = re.fullmatch(r"(\S+)\s+per\s+(visit|session|hour)", head.text)
    count = quantities.count(match[1]) if match else None
    if match is None or not count:
        hint = f"write for example 3 per visit; periods: {', '.join(LIMIT_PERIODS)}"
        raise Unreadable("E-ITEM", head.place(), f"{shown(head.text)} is no limit", hint, length=len(head.text))
    period: Any = match[2]
    return Limit(count, period)


def write_limit(value: Limit) -> str:
    """As `limit` reads it."""
    return f"{value.count} per {value.period}"


STATES: Final = Kind(
    "States", "state", STATE_FORM, State, _read_state, _write_state,
    {
        "max_duration": Key("timeout", timeout, write_timeout),
        "min_duration": Key("min_duration_ns", duration, write_duration),
        "allow": Key("allow", several(capability), joined(write_capability)),
        "deny": Key("deny", several(capability), joined(write_capability)),
        "prompt": Key("prompt", prose, str),
        "remind": Key("remind_ns", duration, write_duration),
        "enter": Key("enter", read_effects, write_effects),
        "leave": Key("leave", read_effects, write_effects),
    },
    500,
)  # fmt: skip

TRANSITIONS: Final = Kind(
    "Transitions", "transition", TRANSITION_FORM, Transition, _read_transition, _write_transition,
    {
        "guard": Key("guard", guard, write_guard),
        "requires": Key("requires", read_fields, write_fields),
        "sets": Key("sets", several(assignment), joined(write_assignment), repeats=True),
        "sends": Key("sends", several(sending), joined(write_sending), repeats=True),
        "priority": Key("priority", whole, str),
        "cooldown": Key("cooldown_ns", duration, write_duration),
        "limit": Key("limits", several(limit), joined(write_limit), repeats=True),
        "effects": Key("effects", read_effects, write_effects),
    },
    5000,
)  # fmt: skip
