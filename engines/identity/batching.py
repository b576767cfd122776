"""Queries of evidence, at most one in flight for each identity. Pure.

The requests about one identity wait for one answer, stored in their mailbox; the state has the identities of the
queries. An answer that does not come in time is taken for lost: the requests that wait are answered with that, and the
next one sends a query again.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Protocol, TypeVar

from msgspec import Meta

from engines.crypto.keys import Public, identity_of
from engines.identity.evidence import EvidenceFound, QueryEvidence
from engines.model import Arrived, Become, Config, Effects, Map, Ref, Send, SetTimer, Store, StoredMessage, Timer, Value

WAITING_MAX: Final = 4096
"""Requests that wait at once; more are refused."""

LATE: Final = "no evidence came in time"
BUSY: Final = f"{WAITING_MAX} requests wait"


class Source(Config):
    """The engine that has the evidence, and how long its answer is waited for; 0: for ever, where none can be lost."""

    evidence: Ref[QueryEvidence]
    patience_ns: Annotated[int, Meta(ge=0)] = 10_000_000_000


class InFlight(Value):
    """State: the identities of which evidence is asked, and since when."""

    since_ns: Map[bytes, int] = Map()


PATIENCE: Final = Timer("patience")


class AboutIdentity(Protocol):
    """A request about an identity."""

    @property
    def identity(self) -> Public:
        """The identity."""


R = TypeVar("R", bound=AboutIdentity)


def join_query(principal: Public, t: Arrived[Any, Source, InFlight]) -> Effects[InFlight, QueryEvidence]:
    """State, messages: a query, unless one is in flight; the request is stored. Timers: until the answer is late."""
    identity, asked, patience_ns = identity_of(principal), t.env.state.since_ns, t.config.patience_ns
    if identity in asked:
        return Store()
    query = Send(t.config.evidence, QueryEvidence(principal, Ref(t.me.name)))
    timer = [SetTimer(PATIENCE, after_ns=patience_ns)] if patience_ns and not t.env.is_pending(PATIENCE) else []
    return [Store(), Become(InFlight(asked.set(identity, t.now_ns))), query, *timer]


def answered(t: Arrived[EvidenceFound, Source, InFlight]) -> bytes | None:
    """The identity that evidence is about, if the engine that was asked sent it, and an answer is expected."""
    is_expected = t.message.principal in t.env.state.since_ns
    is_from_source = t.sender == str(t.config.evidence).partition("#")[0]
    return t.message.principal if is_expected and is_from_source else None


def overdue(asked: InFlight, patience_ns: int, now_ns: int) -> frozenset[bytes]:
    """The identities whose evidence is late."""
    return frozenset(name for name, since_ns in asked.since_ns.items() if since_ns + patience_ns <= now_ns)


def waiting_for(
    kind: type[R], identities: frozenset[bytes], stored: tuple[StoredMessage[Any], ...]
) -> list[tuple[StoredMessage[Any], R]]:
    """The stored requests of this type about these identities, with their places in the mailbox."""
    requests = ((one, one.message) for one in stored if isinstance(one.message, kind))
    return [(one, request) for one, request in requests if identity_of(request.identity) in identities]


def drop_queries(names: frozenset[bytes], asked: InFlight, patience_ns: int) -> list[Become[InFlight] | SetTimer]:
    """State: without these queries. Timers: for the oldest of the others, if there is a time-out."""
    left = Map((name, since_ns) for name, since_ns in asked.since_ns.items() if name not in names)
    timer = [SetTimer(PATIENCE, at_ns=min(left.values()) + patience_ns)] if left and patience_ns else []
    return [Become(InFlight(left)), *timer]
