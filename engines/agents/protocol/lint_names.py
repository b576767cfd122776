"""Rules about names: each that is referred to is defined, here or in a protocol that is used."""

from __future__ import annotations

from collections.abc import Iterator

from .model import ANY, SELF, Effect, Place
from .subject import Subject


def check_names(subject: Subject) -> None:
    """Add E-UNDEF-STATE, -MSG, -ROLE, -FIELD and -MEASURE."""
    _states(subject)
    _messages(subject)
    _roles(subject)
    _fields(subject)
    _measures(subject)


def _states(subject: Subject) -> None:
    for name, place in _state_names(subject):
        if name not in subject.known_states:
            hint = f"add '- {name}: ...' to States, or correct the name"
            subject.undefined("E-UNDEF-STATE", "state", name, place, set(subject.states), hint)


def _state_names(subject: Subject) -> Iterator[tuple[str, Place]]:
    whole = subject.whole
    for one in whole.transitions:
        for source in (*one.sources, *one.excepted):
            if source != ANY:
                yield source, subject.locate(one.place, source)
        if one.target != SELF:
            yield one.target, subject.locate(one.place, one.target, after_arrow=True)
    for state in whole.states:
        if state.timeout is not None:
            yield state.timeout.target, subject.locate(state.timeout.place, state.timeout.target, after_arrow=True)
    for role in whole.roles:
        yield from ((name, subject.locate(role.place, name)) for name in role.states)
    for message in whole.messages:
        for name in (*message.when_sender, *message.when_receiver):
            yield name, subject.locate(message.place, name)
    for invariant in whole.invariants:
        yield from ((name, subject.locate(invariant.place, name)) for name in invariant.states)
    for migration in whole.migrations:
        for mapping in migration.states:
            yield mapping.new, subject.locate(mapping.place, mapping.new, after_arrow=True)


def effects(subject: Subject) -> Iterator[Effect]:
    """All effects of states and transitions."""
    for state in subject.whole.states:
        yield from (*state.enter, *state.leave)
    for transition in subject.whole.transitions:
        yield from transition.effects


def _messages(subject: Subject) -> None:
    for name, place in _message_names(subject):
        if name not in subject.messages:
            hint = f"add '- {name}: sender → receiver' to Messages, or correct the name"
            subject.undefined("E-UNDEF-MSG", "message", name, place, subject.messages, hint)


def _message_names(subject: Subject) -> Iterator[tuple[str, Place]]:
    whole = subject.whole
    for state in whole.states:
        for capability in (*(state.allow or ()), *state.deny):
            if capability.kind in ("send", "receive"):
                yield from ((name, subject.locate(state.place, name)) for name in capability.of)
    for transition in whole.transitions:
        yield from ((one.message, one.place) for one in transition.sends)
    for effect in effects(subject):
        if effect.kind == "send":
            yield effect.argument.partition(" ")[0], subject.locate(effect.place, effect.argument.partition(" ")[0])
    for message in whole.messages:
        yield from ((name, subject.locate(message.place, name)) for name in message.replies)
    for role in whole.roles:
        for right in role.may:
            if right.startswith("send:"):
                yield right[5:], subject.locate(role.place, right[5:])
    for migration in whole.migrations:
        for mapping in migration.messages:
            if mapping.new:
                yield mapping.new, subject.locate(mapping.place, mapping.new, after_arrow=True)


def _roles(subject: Subject) -> None:
    for name, place in _role_names(subject):
        if name not in subject.roles:
            hint = f"add '- {name}: ...' to Roles, or correct the name"
            subject.undefined("E-UNDEF-ROLE", "role", name, place, subject.roles, hint)


def _role_names(subject: Subject) -> Iterator[tuple[str, Place]]:
    whole = subject.whole
    for transition in whole.transitions:
        yield from ((one.to, subject.locate(one.place, one.to)) for one in transition.sends if one.to != ANY)
    for effect in effects(subject):
        if effect.kind in ("notify", "start", "stop", "send"):
            name = effect.argument.rpartition(" ")[2]
            if name and name not in (ANY, SELF):
                yield name, subject.locate(effect.place, name)
    for role in whole.roles:
        for right in role.may:
            if right.startswith("spawn:"):
                yield right[6:], subject.locate(role.place, right[6:])


def _fields(subject: Subject) -> None:
    known = {one.name for one in subject.whole.context}
    places = [
        (one.field, subject.locate(one.place, one.field)) for each in subject.whole.transitions for one in each.sets
    ]
    for migration in subject.whole.migrations:
        places += [(one.new, subject.locate(one.place, one.new)) for one in migration.context]
    for name, place in places:
        if name not in known:
            hint = f"add '- {name}: type' to Context, or correct the name"
            subject.undefined("E-UNDEF-FIELD", "field", name, place, known, hint)


def _measures(subject: Subject) -> None:
    known = {one.id for one in subject.whole.measurements}
    for effect in effects(subject):
        if effect.kind == "measure" and effect.argument not in known:
            hint = f"add '- {effect.argument}: count' to Measurements, or correct the name"
            place = subject.locate(effect.place, effect.argument)
            subject.undefined("E-UNDEF-MEASURE", "measurement", effect.argument, place, known, hint)
