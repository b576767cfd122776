"""A node file as a system: its engines, with the parameters and states of the file, and what is sent to them.

Devices are their twins. Placement, journals and supervision say where and how engines run, not what they do, so only
whether an engine's state outlives its process is taken over.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, get_type_hints

import msgspec

from engines.model import Declaration, Device, Family, LoadError, load_family
from engines.model.system import OUTSIDE, Envelope, Member, System
from host.check.environment import sampled
from host.check.local import AnyFamily, CheckError
from host.config.convert import ConversionError, to_typed
from host.config.engine_values import convert_engine
from host.config.spec import EngineSpec, NodeSpec


class Given(NamedTuple):
    """A message as it is typed: target, mailbox, the type's name, fields as text or as values of JSON."""

    engine: str
    mailbox: int
    tag: str
    fields: Mapping[str, Any]


def node_system(node: NodeSpec, sends: Sequence[Given], samples: int) -> System:
    """The system of a node: with `sends` in transit or, without any, sampled messages to all engines, standing.

    Raises CheckError.
    """
    members = [_member(node, engine) for engine in node.engines]
    by_name = {member.name: member for member in members}
    messages = [_envelope(by_name, given) for given in sends]
    standing = [] if sends else [one for member in members for one in sampled(member, samples, tuple(by_name))]
    return System(name=node.node, members=members, messages=messages, standing=standing)


def _member(node: NodeSpec, engine: EngineSpec) -> Member:
    family = _family(node, engine)
    try:
        params, state = convert_engine(family, engine.params, engine.state)
    except ConversionError as error:
        raise CheckError(f"{engine.name}: {error}") from None
    bounds = {number: spec.stored_max for number, spec in engine.mailboxes.items() if spec.stored_max is not None}
    return Member(engine.name, family.bounded(bounds), params, state, engine.durability != "volatile")


def _family(node: NodeSpec, engine: EngineSpec) -> AnyFamily:
    try:
        found: Declaration[Any, Any, Any] = load_family(engine.family, node.roots)
    except LoadError as error:
        raise CheckError(str(error)) from None
    if isinstance(found, Device):
        if found.twin is None:
            raise CheckError(f"{engine.name} is the device {found.name}, which has no twin to be checked in its place")
        return found.twin
    assert isinstance(found, Family)
    return found


def _envelope(members: Mapping[str, Member], given: Given) -> Envelope:
    member = members.get(given.engine)
    if member is None:
        raise CheckError(f"the node has no engine {given.engine!r}; it has {', '.join(members)}")
    box = member.family.boxes.get(given.mailbox)
    kinds = {kind.__name__: kind for kind in (() if box is None else box.accepts_types)}
    if given.tag not in kinds:
        accepted = ", ".join(sorted(kinds)) or "nothing"
        raise CheckError(f"mailbox {given.mailbox} of {given.engine} takes no {given.tag}; it takes {accepted}")
    return Envelope(given.engine, _message(given, kinds[given.tag]), OUTSIDE, given.mailbox)


def _message(given: Given, kind: type[msgspec.Struct]) -> Any:
    hints = get_type_hints(kind, include_extras=True)
    fields = {name: _value(value, hints.get(name)) for name, value in given.fields.items()}
    try:
        return to_typed(fields, kind)
    except ConversionError as error:
        raise CheckError(f"{given.tag} to {given.engine}: {error}") from None


def _value(text: Any, kind: Any) -> Any:
    """A typed text as what its field takes: the text itself, or the number or truth value it spells."""
    if not isinstance(text, str) or kind is None:
        return text
    try:
        to_typed(text, kind)
    except ConversionError:
        try:
            return msgspec.json.decode(text)
        except msgspec.DecodeError:
            return text
    return text
