"""Whether all agents of one version can be moved to another: the proof, or the holes in it. Pure.

The migration that the new version declares for the old one has to give each state that an agent can be in an image,
each value that is needed a source, and each type of message that may be under way a rule. States and fields of one name
are images of each other without a rule. What cannot be decided for all agents, such as invariants on their values,
`compare_image` checks for each.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Literal

from engines.model import Value

from .compare import gone_from, widens
from .decide_choice import leaves
from .model import SELF, Migration, Protocol
from .versions import is_in_range


class Hole(Value):
    """What a migration leaves open. `path` leads to a state without image, from the initial one."""

    kind: Literal["state", "context", "message", "role"]
    name: str
    message: str
    path: tuple[str, ...] = ()


def migration_for(old: Protocol, new: Protocol) -> Migration | None:
    """The migration that the new version declares for the old one, if it does."""
    found = (one for one in new.migrations if one.to == new.version and is_in_range(old.version, one.range))
    return next(found, None)


def paths(protocol: Protocol) -> dict[str, tuple[str, ...]]:
    """The states that an agent can be in, each with a shortest path there from the initial one."""
    if not protocol.states:
        return {}
    found: dict[str, tuple[str, ...]] = {protocol.initial: (protocol.initial,)}
    queue = deque(found)
    while queue:
        state = queue.popleft()
        defined = protocol.state(state)
        following = [one.target for one in protocol.transitions if leaves(one, state) and one.target != SELF]
        if defined is not None and defined.timeout is not None:
            following.append(defined.timeout.target)
        for target in following:
            if target not in found and protocol.state(target) is not None:
                found[target] = (*found[state], target)
                queue.append(target)
    return found


def proof(old: Protocol, new: Protocol) -> tuple[Hole, ...]:
    """What is missing for all agents of the old version to be moved to the new one; () is a proof that nothing is."""
    migration = migration_for(old, new)
    return (*_state_holes(old, new, migration), *_value_holes(old, new, migration), *_other_holes(old, new, migration))


def image_of_state(migration: Migration | None, state: str) -> str:
    """The state of the new version for one of the old."""
    mapped = (one.new for one in migration.states if one.old == state) if migration is not None else iter(())
    return next(mapped, state)


def _state_holes(old: Protocol, new: Protocol, migration: Migration | None) -> Iterator[Hole]:
    for state, path in paths(old).items():
        image = image_of_state(migration, state)
        if new.state(image) is None:
            why = f"state '{state}' has no image" if image == state else f"the image '{image}' of '{state}' is no state"
            yield Hole("state", state, f"{why}; agents come there by {' → '.join(path)}", path)


def _value_holes(old: Protocol, new: Protocol, migration: Migration | None) -> Iterator[Hole]:
    sources = {one.new: one for one in migration.context} if migration is not None else {}
    before = {one.name: one for one in old.context}
    for field in new.context:
        rule = sources.get(field.name)
        if rule is not None and rule.old and rule.old not in before:
            yield Hole(
                "context", field.name, f"'{rule.old}', from which '{field.name}' comes, is no field of the old version"
            )
            continue
        source = before.get(rule.old if rule is not None and rule.old else field.name)
        if rule is not None and rule.expression:
            continue
        if source is None and field.default is None and not field.is_optional:
            yield Hole("context", field.name, f"field '{field.name}' has no source and no default")
        elif source is not None and not widens(source.type, field.type):
            yield Hole(
                "context", field.name, f"values of '{source.name}' may not fit '{field.name}'; give an expression"
            )
        elif source is not None and field.default is None and not field.is_optional and source.default is None:
            yield Hole(
                "context", field.name, f"field '{field.name}' may have no value, for '{source.name}' may have none"
            )


def _other_holes(old: Protocol, new: Protocol, migration: Migration | None) -> Iterator[Hole]:
    ruled = {one.old for one in migration.messages} if migration is not None else set()
    for gone in gone_from(old.messages, new.messages):
        if gone.id not in ruled:
            yield Hole("message", gone.id, f"messages of type '{gone.id}' may be under way: translate, bounce or keep")
    for role in gone_from(old.roles, new.roles):
        yield Hole("role", role.id, f"role '{role.id}' is gone, and agents may have it")
