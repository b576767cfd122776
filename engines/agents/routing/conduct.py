"""What a protocol says about messages, kept by the router for each version, and who the agents are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal

from engines.model import Map, Value

from ..protocol.model import Capability, Import, MessageMapping, MessageType, Protocol
from ..protocol.versions import Version, is_in_range, read_version

NOTE: Final = "note"
"""The type of messages that need no declaration."""

REPLIES: Final = ("agree", "refuse", "failure", "not_understood")
"""Reserved types that agents send, as replies only."""

ENGINE_TYPES: Final = ("expired", "bounced", "system")
"""Reserved types that only the engine sends."""


NO_VERSION: Final = Version(0, 0, 0)


class Capabilities(Value):
    """What a state allows and denies; `allow` None allows what is not denied."""

    allow: tuple[Capability, ...] | None
    deny: tuple[Capability, ...]

    def may(self, kind: Literal["send", "receive"], message_type: str) -> bool:
        """Whether an agent in this state may send, or receive, messages of this type."""
        if _names(self.deny, kind, message_type):
            return False
        return self.allow is None or _names(self.allow, kind, message_type)


class Conduct(Value):
    """Of one version of a protocol: types of messages, states that allow or deny, and how many messages an agent may
    send in a period (0: no limit). `translated` says what becomes of messages of types of earlier versions.
    `minds_inbox`: what the protocol allows, or the engine does, may depend on what is in an agent's inbox.
    """

    name: str
    version: str
    types: Map[str, MessageType] = Map()
    states: Map[str, Capabilities] = Map()
    translated: Map[str, MessageMapping] = Map()
    messages_max: int = 0
    period_ns: int = 0
    minds_inbox: bool = True

    def may(self, state: str, kind: Literal["send", "receive"], message_type: str) -> bool:
        """Whether an agent in `state` may; states that say nothing, such as those of the system, allow everything."""
        rules = self.states.get(state)
        return rules is None or rules.may(kind, message_type)


class Peer(Value):
    """An agent as the router knows it; `number` counts the changes of its record."""

    agent: str
    role: str
    protocol: str
    version: str
    digest: str
    state: str
    visit: int
    number: int


def conduct_of(protocol: Protocol, source: str, known: Sequence[Conduct] = ()) -> Conduct:
    """What a protocol says about messages, with those that it uses of the `known` protocols. `source` is its text."""
    used = [one for wanted in {one.name: one for one in protocol.uses}.values() for one in _used(wanted, known)]
    bound = next((one for one in protocol.limits if one.name == "messages"), None)
    migrations = [one for one in protocol.migrations if one.to == protocol.version]
    return Conduct(
        protocol.name,
        protocol.version,
        Map((one.id, one) for one in (*used, *protocol.messages)),
        Map(
            (one.id, Capabilities(one.allow, one.deny)) for one in protocol.states if one.allow is not None or one.deny
        ),
        Map((one.old, one) for migration in migrations for one in migration.messages),
        int(bound.value) if bound else 0,
        bound.period_ns if bound else 0,
        "inbox." in source or any("engine" in one.actors for one in protocol.transitions),
    )


def _used(wanted: Import, known: Sequence[Conduct]) -> list[MessageType]:
    """Types of messages of the newest version in the range; () names all of them, unless only states are used."""
    versions = [one for one in known if one.name == wanted.name and is_in_range(one.version, wanted.range)]
    if not versions or (wanted.states and not wanted.messages):
        return []
    newest = max(versions, key=lambda one: read_version(one.version) or NO_VERSION)
    return [one for one in newest.types.values() if not wanted.messages or one.id in wanted.messages]


def _names(capabilities: tuple[Capability, ...], kind: str, message_type: str) -> bool:
    return any(one.kind == kind and (not one.of or message_type in one.of) for one in capabilities)
