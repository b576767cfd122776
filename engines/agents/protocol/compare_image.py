"""The image of one agent's record in another version of its protocol, and its way back. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec.structs import replace

from engines.model import Map, Value

from .compare_proof import image_of_state, migration_for
from .decide_checks import judged
from .decide_fields import fits
from .decide_record import Past, Record, Taken, names_of_record, with_past
from .guards import GuardError, parse_value, value_of
from .model import Datum, Migration, Protocol


class Image(Value):
    """A record in the new version, or why there is none; and the rules by which it was made."""

    record: Record | None = None
    reason: str = ""
    rules: tuple[str, ...] = ()


def image(old: Protocol, new: Protocol, digest: str, record: Record, facts: Mapping[str, Datum], now_ns: int) -> Image:
    """An agent's record in the new version. The visit goes on; only its number of changes is one more."""
    migration = migration_for(old, new)
    names = names_of_record(record, facts, now_ns)
    if migration is not None and migration.guard is not None:
        holds, awaiting, seen = judged(migration.guard.text, names)
        if not holds:
            return Image(None, f"the migration is not for it: `{migration.guard.text}`: {seen or ', '.join(awaiting)}")
    state = image_of_state(migration, record.state)
    if new.state(state) is None:
        return Image(None, f"state '{record.state}' has no image")
    if new.roles and record.role in {one.id for one in old.roles} - {one.id for one in new.roles}:
        return Image(None, f"role '{record.role}' is gone")
    context, wrong, rules = _context(old, new, migration, record, names)
    if wrong:
        return Image(None, wrong)
    if state != record.state:
        rules = (f"state {record.state} → {state}", *rules)
    after = replace(
        record,
        version=new.version,
        digest=digest,
        state=state,
        last=image_of_state(migration, record.last),
        context=context,
        visits=_visits(migration, record),
        taken=_taken(old, new, record),
    )
    after = _dated(record, after, now_ns, "migration", f"{old.version} → {new.version}")
    broken = _broken(new, after, facts, now_ns)
    return Image(None, broken) if broken else Image(after, "", rules)


def back(record: Record, before: Record, now_ns: int) -> Image:
    """The record as it was before its last migration, if nothing has changed since."""
    if record.number != before.number + 1:
        return Image(
            None, f"it has changed {record.number - before.number - 1} times since; a reverse migration is needed"
        )
    after = replace(before, session=record.session, system=record.system)
    return Image(_dated(record, after, now_ns, "rollback", f"{record.version} → {before.version}"))


def _dated(record: Record, after: Record, now_ns: int, cause: str, reason: str) -> Record:
    past = Past(record.number + 1, now_ns, record.shown, after.shown, after.visit, "admin", cause, reason)
    return with_past(after, past)


def _context(
    old: Protocol, new: Protocol, migration: Migration | None, record: Record, names: Mapping[str, Datum]
) -> tuple[Map[str, Datum], str, tuple[str, ...]]:
    """The context in the new version, or why there is none, and the rules that it came by."""
    sources = {one.new: one for one in migration.context} if migration is not None else {}
    found: dict[str, Datum] = {}
    rules: list[str] = []
    for field in new.context:
        rule = sources.get(field.name)
        value = record.context.get(field.name)
        if rule is not None:
            rules.append(f"context {rule.old} → {rule.new}" if rule.old else f"context {rule.new} = {rule.expression}")
            value = record.context.get(rule.old) if rule.old else _value(rule.expression, names)
        if value is None:
            value = field.default
        if value is None and not field.is_optional:
            return Map(), f"field '{field.name}' has no value", ()
        if value is not None and (wrong := fits(field.type, value)):
            return Map(), f"field '{field.name}': {wrong}", ()
        if value is not None:
            found[field.name] = value
    return Map(found), "", tuple(rules)


def _value(expression: str, names: Mapping[str, Datum]) -> Datum | None:
    try:
        return value_of(parse_value(expression), names)
    except GuardError:
        return None


def _visits(migration: Migration | None, record: Record) -> Map[str, int]:
    found: dict[str, int] = {}
    for state, count in record.visits.items():
        image = image_of_state(migration, state)
        found[image] = found.get(image, 0) + count
    return Map(found)


def _taken(old: Protocol, new: Protocol, record: Record) -> Map[int, Taken]:
    """What is known of transitions that are in both versions."""
    indexes = {(one.sources, one.target, one.event): one.index for one in new.transitions}
    found: dict[int, Taken] = {}
    for one in old.transitions:
        index = indexes.get((one.sources, one.target, one.event))
        if index is not None and one.index in record.taken:
            found[index] = record.taken[one.index]
    return Map(found)


def _broken(protocol: Protocol, record: Record, facts: Mapping[str, Datum], now_ns: int) -> str:
    """The invariant that rejects a record, and why; "" without one."""
    names = names_of_record(record, facts, now_ns)
    for one in protocol.invariants:
        if one.on_fail != "reject" or (one.states and record.state not in one.states):
            continue
        holds, awaiting, seen = judged(one.guard.text, names)
        if not holds:
            return f"invariant {one.id}: `{one.guard.text}`: {seen or ', '.join(awaiting) + ' unknown'}"
    return ""
