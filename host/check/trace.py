"""The way to a state: from fingerprints back to steps, and these as text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec

from engines.model import view
from engines.model.system import Envelope
from engines.model.system_view import EngineView
from host.check.plain import AnySpace
from host.check.space import Space, Successor

VALUE_CHARS_MAX: Final = 100
"""Longest value shown in a line."""


class Trace(msgspec.Struct, frozen=True):
    """Steps from the first state. Those from `loop` on repeat for ever; None: they do not."""

    initial: Any
    steps: tuple[Successor, ...]
    loop: int | None = None


def trace_of(space: AnySpace, path: Sequence[int], loop: int | None = None) -> Trace:
    """The steps along a path of fingerprints, the first of which is that of the first state."""
    state, steps = space.initial, list[Successor]()
    for print_ in path[1:]:
        found = [one for one in space.successors(state) if space.canonical_print(one.state) == print_]
        step = max(found, key=lambda one: one.reaction is not None and bool(one.reaction.error))
        steps.append(step)
        state = step.state
    return Trace(space.initial, tuple(steps), loop)


def lines(space: AnySpace, trace: Trace) -> Iterator[str]:
    """The trace as lines: what happened, and how the engine's state changed."""
    before = trace.initial
    width = len(str(len(trace.steps)))
    for number, step in enumerate(trace.steps, 1):
        if trace.loop is not None and number == trace.loop + 1:
            yield "and from here on, for ever:"
        yield f"{number:>{width}}  {headline(step)}"
        changes = _changes(space, before, step) if isinstance(space, Space) else _plain_changes(before, step.state)
        for change in changes:
            yield f"{'':>{width}}    {change}"
        before = step.state
    if not trace.steps:
        yield "already in the first state"


def _changes(space: Space, state: Any, step: Successor) -> Iterator[str]:
    """What a step changes in a system of engines."""
    before, after = _engines(space, state), _engines(space, step.state)
    for name, engine in after.items():
        if name not in before:
            yield f"{name} is born: {shown(engine.state)}"
        elif engine.state != before[name].state:
            yield f"{name}: {shown(before[name].state)} -> {shown(engine.state)}"
        if name in before and engine.status != before[name].status:
            yield f"{name} is {engine.status}"
    for envelope in step.reaction.sends if step.reaction is not None else ():
        yield f"{envelope.sender} -> {address(envelope)}: {shown_message(envelope.message)}"


def _plain_changes(before: Any, after: Any) -> Iterator[str]:
    """What differs between two states, by the fields of a struct."""
    if type(before) is not type(after) or not isinstance(after, msgspec.Struct):
        yield f"{shown(before)} -> {shown(after)}"
        return
    for name in after.__struct_fields__:
        was, now = getattr(before, name), getattr(after, name)
        if was != now:
            yield f"{name}: {shown(was)} -> {shown(now)}"


def headline(step: Successor) -> str:
    """One step in a line."""
    if not step.engine:
        return step.label
    if step.envelope is not None:
        envelope = step.envelope
        what = f"{envelope.sender} -> {address(envelope)}: {shown_message(envelope.message)}"
        return f"{what}  is lost" if step.kind == "lose" else f"{what}  [{step.label}]"
    if step.kind == "crash":
        return f"{step.engine}: node fault, begins anew"
    return f"{step.engine}: {step.label}"


def address(envelope: Envelope) -> str:
    """Where a message goes, with its mailbox unless that is the default one."""
    return envelope.target if envelope.mailbox == 0 else f"{envelope.target}#{envelope.mailbox}"


def shown_message(message: Any) -> str:
    """A message for people: its type and fields."""
    fields = ", ".join(f"{name}={shown(getattr(message, name))}" for name in message.__struct_fields__)
    return f"{type(message).__name__}({fields})"


def shown(value: Any) -> str:
    """A value for people, shortened."""
    if isinstance(value, msgspec.Struct):
        fields = ", ".join(f"{name}={shown(getattr(value, name))}" for name in value.__struct_fields__)
        text = f"{type(value).__name__}({fields})"
    else:
        text = msgspec.json.encode(view(value)).decode()
    return text if len(text) <= VALUE_CHARS_MAX else text[: VALUE_CHARS_MAX - 1] + "…"


def _engines(space: Space, state: Any) -> dict[str, EngineView]:
    return {engine.name: engine for engine in space.view(state).engines()}
