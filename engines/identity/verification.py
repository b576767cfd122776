"""Verification: did an identity commit to this data, itself or by one that signs for it?

Signatures are checked here, since that needs no secret. Only where a delegate signed, and delegates are allowed, the
signs-for engine is asked: once for an identity, however many requests wait for its answer.
"""

from __future__ import annotations

from engines.crypto.keys import Commitment, Public, identity_of, is_valid, signer_of
from engines.identity.batching import (
    BUSY,
    LATE,
    PATIENCE,
    WAITING_MAX,
    InFlight,
    Source,
    answered,
    drop_queries,
    join_query,
    overdue,
    waiting_for,
)
from engines.identity.delegation import Search, edges_of
from engines.identity.evidence import EvidenceFound, QueryEvidence
from engines.model import (
    Arrived,
    Box,
    Consume,
    Effect,
    Effects,
    Elapsed,
    Family,
    Handle,
    Message,
    Note,
    Ref,
    Send,
    rule,
)


class Verify(Message):
    """Did `identity` commit to `data`? With `use_signs_for`, a delegate's commitment counts."""

    data: bytes
    commitment: Commitment
    identity: Public
    reply: Ref[Verified]
    use_signs_for: bool = False
    request: int = 0


class Verified(Message):
    """Whether it did; `problem` is why this could not be found out, and then the commitment does not count."""

    is_valid: bool
    request: int
    problem: str = ""


Requested = Arrived[Verify, Source, InFlight]
INBOX = Box(0, accepts=Verify | EvidenceFound, stored_max=WAITING_MAX)


def delegated(t: Requested) -> bytes | None:
    """The identity of which evidence is needed: a good signature, of another one, who may sign for it."""
    request, identity = t.message, identity_of(t.message.identity)
    is_other = identity_of(signer_of(request.commitment)) != identity
    return identity if request.use_signs_for and is_other and is_valid(request.commitment, request.data) else None


def has_room(t: Requested) -> bytes | None:
    """As `delegated`, while there is room to wait."""
    return delegated(t) if len(t.env[INBOX].stored) < WAITING_MAX else None


@rule(when=has_room)
def wait(_identity: bytes, t: Requested) -> Effects[InFlight, QueryEvidence]:
    """State, messages, timers: as `join_query`. Engines: none."""
    return join_query(t.message.identity, t)


@rule(when=delegated, priority=1)
def turn_away(_identity: bytes, t: Requested) -> Effects[InFlight, Verified]:
    """Messages: too many requests wait. State, timers, engines: none."""
    return Send(t.message.reply, Verified(False, t.message.request, BUSY))


@rule(priority=2)
def verify(request: Verify, _t: Requested) -> Effects[InFlight, Verified]:
    """Messages: whether the identity itself committed. State, timers, engines: none."""
    is_own = identity_of(signer_of(request.commitment)) == identity_of(request.identity)
    return Send(request.reply, Verified(is_own and is_valid(request.commitment, request.data), request.request))


@rule(when=answered)
def conclude(principal: bytes, t: Arrived[EvidenceFound, Source, InFlight]) -> Effects[InFlight, Verified]:
    """State: without the query. Messages: an answer to each request that waited; these are consumed. Timers: for the
    other queries. Engines: none."""
    names, search, depth = frozenset((principal,)), Search(edges_of(t.message.evidence), t.now_ns), t.message.depth
    effects: list[Effect[InFlight, Verified]] = [*drop_queries(names, t.env.state, t.config.patience_ns)]
    for one, request in waiting_for(Verify, names, t.env[INBOX].stored):
        holds = search.holds(signer_of(request.commitment), request.identity, depth)
        effects += [Consume(one), Send(request.reply, Verified(holds, request.request))]
    return effects


@rule(priority=1)
def disregard(_found: EvidenceFound, t: Arrived[EvidenceFound, Source, InFlight]) -> Effects[InFlight, Verified]:
    """Evidence that no request waits for, or from another engine. A note. State, messages, timers, engines: none."""
    return Note("evidence that was not asked for", by=t.sender)


@rule(timer=PATIENCE)
def give_up(_patience: Handle, t: Elapsed[Source, InFlight]) -> Effects[InFlight, Verified]:
    """State: without the late queries. Messages: that no evidence came, to the requests that waited; these are
    consumed. Timers: for the other queries. Engines: none."""
    late = overdue(t.env.state, t.config.patience_ns, t.now_ns)
    effects: list[Effect[InFlight, Verified]] = [*drop_queries(late, t.env.state, t.config.patience_ns)]
    for one, request in waiting_for(Verify, late, t.env[INBOX].stored):
        effects += [Consume(one), Send(request.reply, Verified(False, request.request, LATE))]
    return effects


VERIFICATION = Family(
    "verification",
    config=Source,
    state=InFlight(),
    accepts=Verify | EvidenceFound,
    emits=Verified | QueryEvidence,
    boxes=[INBOX],
    timers=[PATIENCE],
).rules(wait, turn_away, verify, conclude, disregard, give_up)
