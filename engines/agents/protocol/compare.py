"""Two versions of a protocol: what is different, and how grave each difference is. Pure.

Each difference is found by a rule, and has a level; the level of the whole is the gravest:

    identical    nothing is different but perhaps the version
    patch        only prose
    compatible   what agents did stays possible: something may be done, or may be left out, that could not
    migration    agents of the old version have to be moved, or told: a state, move, or value is gone or is needed
    breaking     agents of the two versions do not understand each other: a role, or a reply, is gone

Whether agents can be moved is another question: `compare_proof`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, Literal, TypeAlias, TypeVar

from engines.model import Value

from .canonical import digest, placeless
from .decide_choice import leaves
from .model import Field, FieldType, MessageType, Protocol, State, Transition

Level: TypeAlias = Literal["identical", "patch", "compatible", "migration", "breaking"]
LEVELS: Final[tuple[Level, ...]] = ("identical", "patch", "compatible", "migration", "breaking")
T = TypeVar("T")


class Difference(Value):
    """One difference: the rule that found it, its level, and what it is, with the line in the new version (or 0)."""

    rule: str
    level: Level
    message: str
    line: int = 0


class Comparison(Value):
    """The differences between two versions, the gravest first."""

    level: Level
    differences: tuple[Difference, ...] = ()


def compare(old: Protocol, new: Protocol) -> Comparison:
    """What is different in the new version."""
    found = sorted(_differences(old, new), key=lambda one: (-LEVELS.index(one.level), one.line, one.message))
    if found:
        return Comparison(found[0].level, tuple(found))
    if digest(old) == digest(new) and _prose(old) != _prose(new):
        return Comparison("patch", (Difference("prose", "patch", "only texts for people are different"),))
    return Comparison("identical")


def _prose(protocol: Protocol) -> Any:
    return placeless(protocol)


def _differences(old: Protocol, new: Protocol) -> Iterator[Difference]:
    yield from _states(old, new)
    yield from _moves(old, new)
    yield from _context(old, new)
    yield from _messages(old, new)
    for role in gone_from(old.roles, new.roles):
        yield Difference("role-removed", "breaking", f"role '{role.id}' is gone")
    for role in gone_from(new.roles, old.roles):
        yield Difference("role-added", "compatible", f"role '{role.id}' is new", role.place.line)
    before = {one.id: (one.guard.text, one.states, one.on_fail) for one in old.invariants}
    for one in new.invariants:
        if before.get(one.id) != (one.guard.text, one.states, one.on_fail):
            what = "changed" if one.id in before else "new"
            yield Difference("invariant-added", "migration", f"invariant '{one.id}' is {what}", one.place.line)
    for invariant in gone_from(old.invariants, new.invariants):
        yield Difference("invariant-removed", "compatible", f"invariant '{invariant.id}' is gone")
    if placeless(old.limits) != placeless(new.limits):
        yield Difference("limits", "compatible", "limits are different")
    if placeless(old.measurements) != placeless(new.measurements):
        yield Difference("measurements", "compatible", "measurements are different")
    if old.policy != new.policy:
        yield Difference("policy", "compatible", f"the policy is '{new.policy}' after '{old.policy}'")


def gone_from(before: Sequence[T], after: Sequence[T]) -> list[T]:
    """Those that have no namesake in the other version."""
    names = {one.id for one in after}  # type: ignore[attr-defined]
    return [one for one in before if one.id not in names]  # type: ignore[attr-defined]


def _states(old: Protocol, new: Protocol) -> Iterator[Difference]:
    for gone in gone_from(old.states, new.states):
        yield Difference("state-removed", "migration", f"state '{gone.id}' is gone")
    for state in gone_from(new.states, old.states):
        pushed = sorted(one.id for one in old.states if state.id in _pushed_to(new, one.id))
        level: Level = "migration" if pushed else "compatible"
        more = f", and the engine moves agents there from '{pushed[0]}'" if pushed else ""
        yield Difference("state-added", level, f"state '{state.id}' is new{more}", state.place.line)
    after = {one.id: one for one in new.states}
    for state in old.states:
        if state.id in after:
            yield from _state(state, after[state.id])


def _pushed_to(protocol: Protocol, state: str) -> set[str]:
    """Where the engine moves agents from a state without a request."""
    found = {one.target for one in protocol.transitions if "engine" in one.actors and leaves(one, state)}
    defined = protocol.state(state)
    return found | ({defined.timeout.target} if defined is not None and defined.timeout else set())


def _state(old: State, new: State) -> Iterator[Difference]:
    line = new.place.line
    if (old.allow, old.deny) != (new.allow, new.deny):
        yield Difference("capabilities", "migration", f"what state '{new.id}' allows is different", line)
    if new.min_duration_ns > old.min_duration_ns:
        yield Difference("stay-longer", "migration", f"state '{new.id}' lasts longer at least", line)
    for name, what in (
        ("flags", "other flags"),
        ("timeout", "another longest stay"),
        ("remind_ns", "other reminders"),
        ("enter", "other effects on entering"),
        ("leave", "other effects on leaving"),
    ):
        if placeless(getattr(old, name)) != placeless(getattr(new, name)):
            level: Level = "migration" if name == "flags" and "final" in {*old.flags} ^ {*new.flags} else "compatible"
            yield Difference("state-changed", level, f"state '{new.id}' has {what}", line)


def _moves(old: Protocol, new: Protocol) -> Iterator[Difference]:
    before, after = _by_edge(old), _by_edge(new)
    for key, edges in before.items():
        if key not in after and new.state(key[0]) is not None:
            yield Difference("move-removed", "migration", f"the move {_shown(key)} is gone")
        elif key in after:
            yield from _move(key, edges, after[key])
    for key, edges in after.items():
        if key not in before:
            yield Difference("move-added", "compatible", f"the move {_shown(key)} is new", edges[0].place.line)


Key: TypeAlias = tuple[str, str, str]


def _by_edge(protocol: Protocol) -> dict[Key, list[Transition]]:
    """The transitions between each two states, on each event."""
    found: dict[Key, list[Transition]] = {}
    for state in protocol.states:
        for one in protocol.transitions:
            if leaves(one, state.id):
                found.setdefault((state.id, one.target, one.event), []).append(one)
    return found


def _shown(key: Key) -> str:
    return f"{key[0]} → {key[1]}" + (f" on {key[2]}" if key[2] else "")


def _move(key: Key, old: list[Transition], new: list[Transition]) -> Iterator[Difference]:
    line = new[0].place.line

    def of(edges: list[Transition], look: Callable[[Transition], object]) -> list[object]:
        return [placeless(look(one)) for one in edges]

    for rule, what, look in (
        ("guard", "another guard", lambda one: one.guard.text if one.guard else ""),
        ("actors", "other actors", lambda one: one.actors or ("agent",)),
        ("requires", "other required fields", lambda one: one.requires),
        ("limits", "another limit or cool-down", lambda one: (one.limits, one.cooldown_ns)),
    ):
        if of(old, look) != of(new, look):
            is_looser = not any(of(new, look)) or (rule == "requires" and _asks_less(old, new))
            level: Level = "compatible" if is_looser else "migration"
            yield Difference(f"move-{rule}", level, f"{_shown(key)} has {what}", line)
    if of(old, lambda one: (one.sets, one.sends, one.effects)) != of(
        new, lambda one: (one.sets, one.sends, one.effects)
    ):
        yield Difference("move-effects", "compatible", f"what {_shown(key)} does is different", line)


def _asks_less(old: list[Transition], new: list[Transition]) -> bool:
    """Whether each request of before has all fields that are needed now."""
    had = {field.name: field for one in old for field in one.requires}
    return all(
        field.is_optional
        or (field.name in had and not had[field.name].is_optional and widens(had[field.name].type, field.type))
        for one in new
        for field in one.requires
    )


def _context(old: Protocol, new: Protocol) -> Iterator[Difference]:
    before = {one.name: one for one in old.context}
    after = {one.name: one for one in new.context}
    for name in before:
        if name not in after:
            yield Difference("field-removed", "migration", f"field '{name}' of the context is gone")
    for name, field in after.items():
        line = field.place.line
        if name not in before:
            is_needed = field.default is None and not field.is_optional
            level: Level = "migration" if is_needed else "compatible"
            more = " and has neither default nor '?'" if is_needed else ""
            yield Difference("field-added", level, f"field '{name}' of the context is new{more}", line)
        elif not widens(before[name].type, field.type):
            yield Difference(
                "field-type", "migration", f"field '{name}' of the context takes less, or other values", line
            )
        elif placeless(before[name]) != placeless(field):
            yield Difference("field-changed", "compatible", f"field '{name}' of the context is different", line)


def widens(old: FieldType, new: FieldType) -> bool:
    """Whether each value of the old type is one of the new type."""
    if new.kind != old.kind:
        return (old.kind, new.kind) == ("int", "number") and _bounds_widen(old, new)
    if not _bounds_widen(old, new) or not set(old.choices) <= set(new.choices):
        return False
    return old.item is None or new.item is None or widens(old.item, new.item)


def _bounds_widen(old: FieldType, new: FieldType) -> bool:
    is_low = new.low is None or (old.low is not None and old.low >= new.low)
    is_high = new.high is None or (old.high is not None and old.high <= new.high)
    return is_low and is_high


def _messages(old: Protocol, new: Protocol) -> Iterator[Difference]:
    after = {one.id: one for one in new.messages}
    replies = {reply for one in old.messages for reply in one.replies}
    for gone in gone_from(old.messages, new.messages):
        level: Level = "breaking" if gone.id in replies else "migration"
        yield Difference("message-removed", level, f"messages of type '{gone.id}' are gone")
    for added in gone_from(new.messages, old.messages):
        yield Difference("message-added", "compatible", f"messages of type '{added.id}' are new", added.place.line)
    for one in old.messages:
        if one.id in after:
            yield from _message(one, after[one.id])


def _message(old: MessageType, new: MessageType) -> Iterator[Difference]:
    line, name = new.place.line, f"'{new.id}'"
    if (old.sender, old.receiver) != (new.sender, new.receiver):
        yield Difference("message-roles", "breaking", f"{name} goes between other roles", line)
    for reply in old.replies:
        if reply not in new.replies:
            yield Difference("reply-removed", "breaking", f"'{reply}' is no reply to {name} any more", line)
    before = {one.name: one for one in old.fields}
    for field in new.fields:
        yield from _message_field(name, before.get(field.name), field)
    for field in old.fields:
        if field.name not in {one.name for one in new.fields} and not field.is_optional:
            yield Difference("message-field", "migration", f"{name} has no field '{field.name}' any more", line)
    if not _covers(new.when_receiver, old.when_receiver):
        yield Difference("receiver-takes-less", "migration", f"{name} is taken in fewer states", line)
    if not _covers(old.when_sender, new.when_sender):
        yield Difference("sender-sends-more", "migration", f"{name} is sent in more states", line)
    rest = ("replies", "within_ns", "when_sender", "when_receiver", "otherwise", "expires_ns", "max_bytes", "order")
    if any(getattr(old, one) != getattr(new, one) for one in rest):
        yield Difference("message-changed", "compatible", f"rules of {name} are different", line)


def _message_field(name: str, old: Field | None, new: Field) -> Iterator[Difference]:
    line = new.place.line
    if old is None:
        level: Level = "compatible" if new.is_optional else "migration"
        yield Difference("message-field", level, f"{name} has a new field '{new.name}'", line)
    elif not widens(old.type, new.type) or (old.is_optional and not new.is_optional):
        yield Difference("message-field", "migration", f"field '{new.name}' of {name} takes less", line)


def _covers(wide: tuple[str, ...], narrow: tuple[str, ...]) -> bool:
    """Whether these states, () being all, have all of those."""
    return not wide or (bool(narrow) and set(narrow) <= set(wide))
