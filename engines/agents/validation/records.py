"""The state of the validator: versions of protocols, the records of agents, answers, and requests that wait."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from msgspec.structs import replace

from engines.model import Map, Value

from ..answers import Answers
from ..envelope import Problem
from ..messages import AgentRequest
from ..protocol.decide_record import Record
from ..protocol.guards import GuardError, names_of, parse_guard
from ..protocol.model import Datum, Policy, Protocol
from ..telling import Untold

NEVER_NS: Final = 1 << 62
PAGE: Final = 100
"""Rows of an answer."""


class Registered(Value):
    """A version of a protocol, which never changes. `source` is its markdown text, with what it extends.

    `peers` are the arguments of `peers.count` in its guards; `moves_by_peers`: the engine moves agents by them.
    """

    protocol: Protocol
    digest: str
    doc_digest: str
    source: str
    is_draining: bool = False
    peers: tuple[tuple[str, str], ...] = ()
    moves_by_peers: bool = False

    @property
    def policy(self) -> Policy:
        """When agents of other versions are moved to this one."""
        given = (one.policy for one in self.protocol.migrations if one.to == self.protocol.version and one.policy)
        return next(given, self.protocol.policy)


class Awaiting(Value):
    """A request that waits: for a change after `number`, or until a guard holds."""

    request: AgentRequest
    number: int
    until: str
    end_ns: int


class Held(Value):
    """What the validator has of an agent.

    `timeout_ns` and `remind_ns` are for the visit `armed`; 0 is none. `pending` is the digest of the version that the
    agent moves to at the next safe point. `images` are its records before migrations, the newest last.
    """

    record: Record
    facts: Map[str, Datum] = Map()
    waits: tuple[Awaiting, ...] = ()
    armed: int = 0
    timeout_ns: int = 0
    remind_ns: int = 0
    pending: str = ""
    is_told: bool = True
    images: tuple[Record, ...] = ()

    @property
    def due_ns(self) -> int:
        """The next time at which something is due for this agent."""
        times = (self.timeout_ns or NEVER_NS, self.remind_ns or NEVER_NS, *(one.end_ns for one in self.waits))
        return min(times)


class Registry(Value):
    """State: versions by digest, the current one of each name, agents, and answers by who asked.

    `population` counts the agents by role and state, as `role,state`. `happened` counts events. `look_ns` is when the
    timer is set for; 0 is never.
    """

    versions: Map[str, Registered] = Map()
    current: Map[str, str] = Map()
    agents: Map[str, Held] = Map()
    answers: Map[str, Answers] = Map()
    population: Map[str, int] = Map()
    happened: int = 0
    untold: Untold = Untold()
    look_ns: int = 0

    def followers(self, digest: str) -> tuple[str, ...]:
        """The agents that follow a version, or will."""
        return tuple(name for name, held in self.agents.items() if digest in (held.record.digest, held.pending))

    def version(self, name: str, version: str = "") -> Registered | None:
        """A version of a protocol; the current one if none is named."""
        if not version:
            digest = self.current.get(name)
            return None if digest is None else self.versions[digest]
        found = (one for one in self.versions.values() if (one.protocol.name, one.protocol.version) == (name, version))
        return next(found, None)


def new_version(protocol: Protocol, digest: str, doc_digest: str, source: str) -> Registered:
    """A version that nobody follows yet."""
    guards = [one.guard.text for one in protocol.transitions if one.guard]
    engine = [one.guard.text for one in protocol.transitions if one.guard and "engine" in one.actors]
    peers = {one for text in (*guards, *(one.guard.text for one in protocol.invariants)) for one in peers_in(text)}
    moves = any(True for text in engine for _ in peers_in(text))
    return Registered(protocol, digest, doc_digest, source, peers=tuple(sorted(peers)), moves_by_peers=moves)


def peers_in(guard: str) -> Iterator[tuple[str, str]]:
    """The arguments of `peers.count` in a guard."""
    try:
        expr = parse_guard(guard)
    except GuardError:
        return
    for name in names_of(expr):
        if name.id == "peers.count" and len(name.arguments) == 2:
            yield name.arguments[0], name.arguments[1]


def counted(population: Map[str, int], record: Record, change: int) -> Map[str, int]:
    """The population with an agent more, or less, in the state where this record is."""
    key = f"{record.role},{record.shown}"
    count = population.get(key, 0) + change
    return population.set(key, count) if count else population.without(key)


def armed(held: Held, protocol: Protocol, now_ns: int) -> Held:
    """With the timers of the visit that the agent is in; without any in a system state."""
    record = held.record
    state = protocol.state(record.state)
    if record.system or state is None:
        return replace(held, armed=0, timeout_ns=0, remind_ns=0)
    if held.armed == record.visit:
        return held
    timeout_ns = record.since_ns + state.timeout.after_ns if state.timeout else 0
    return replace(
        held,
        armed=record.visit,
        timeout_ns=max(timeout_ns, now_ns + 1) if timeout_ns else 0,
        remind_ns=now_ns + state.remind_ns if state.remind_ns else 0,
    )


def unknown_version(state: Registry, name: str, version: str) -> Problem:
    """That there is no such version, and which there are."""
    known = sorted({one.protocol.name for one in state.versions.values()})
    of_name = sorted(one.protocol.version for one in state.versions.values() if one.protocol.name == name)
    message = (
        f"there is no version {version[:64]} of '{name[:64]}'"
        if version and of_name
        else f"there is no protocol '{name[:64]}'"
    )
    return Problem("unknown", "unknown_protocol", message, {"protocols": known[:PAGE], "versions": of_name[:PAGE]})
