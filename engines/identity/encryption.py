"""Encryption: seals data to an identity and, where asked, to all that read for it.

The key store seals, since a box needs chance, and answers the asker. A threshold has no key of its own: what is
encrypted to it is sealed to those that read for it.
"""

from __future__ import annotations

from engines.crypto.keys import Public, PublicKey, identity_of
from engines.devices.key_store import READERS_MAX, DataSealed, KeyRefused, SealData
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


class Sealing(Source, kw_only=True):
    """The reads-for engine, how long it is waited for, and the key store."""

    store: Ref[SealData]


class Encrypt(Message):
    """Seal `data` to `identity`; with `use_reads_for`, to those that read for it, too."""

    data: bytes
    identity: Public
    reply: Ref[DataSealed | KeyRefused]
    use_reads_for: bool = False
    request: int = 0


Requested = Arrived[Encrypt, Sealing, InFlight]
INBOX = Box(0, accepts=Encrypt | EvidenceFound, stored_max=WAITING_MAX)


def asks(t: Requested) -> Encrypt | None:
    """A request that needs evidence."""
    return t.message if t.message.use_reads_for else None


def has_room(t: Requested) -> Encrypt | None:
    """As `asks`, while there is room to wait."""
    return asks(t) if len(t.env[INBOX].stored) < WAITING_MAX else None


@rule(when=has_room)
def wait(request: Encrypt, t: Requested) -> Effects[InFlight, QueryEvidence]:
    """State, messages, timers: as `join_query`. Engines: none."""
    return join_query(request.identity, t)


@rule(when=asks, priority=1)
def turn_away(request: Encrypt, _t: Requested) -> Effects[InFlight, KeyRefused]:
    """Messages: too many requests wait. State, timers, engines: none."""
    return Send(request.reply, KeyRefused("full", BUSY, request.request))


@rule(priority=2)
def encrypt(request: Encrypt, t: Requested) -> Effects[InFlight, SealData | KeyRefused]:
    """Messages: as `sealing`. State, timers, engines: none."""
    return sealing(request, [request.identity], t.config.store)


def sealing(request: Encrypt, readers: list[Public], store: Ref[SealData]) -> Effect[InFlight, SealData | KeyRefused]:
    """Messages: to the key store, which answers the asker; or, without a reader that can decrypt, a refusal."""
    keys = {identity_of(one): one for one in readers if isinstance(one, PublicKey) and one.encrypting}
    if not keys:
        return Send(request.reply, KeyRefused("not available", "no reader has a key to decrypt with", request.request))
    if len(keys) > READERS_MAX:
        return Send(request.reply, KeyRefused("full", f"more than {READERS_MAX} read for it", request.request))
    return Send(store, SealData(tuple(keys.values()), request.data, request.reply, request.request))


def expected(t: Arrived[EvidenceFound, Sealing, InFlight]) -> bytes | None:
    """As `answered`."""
    return answered(t)


@rule(when=expected)
def conclude(
    principal: bytes, t: Arrived[EvidenceFound, Sealing, InFlight]
) -> Effects[InFlight, SealData | KeyRefused]:
    """State: without the query. Messages: as `sealing`, for each request that waited; these are consumed. Timers: for
    the other queries. Engines: none."""
    names, search, found = frozenset((principal,)), Search(edges_of(t.message.evidence), t.now_ns), t.message
    delegates = [one.edge.delegate for one in found.evidence]
    effects: list[Effect[InFlight, SealData | KeyRefused]] = []
    for one, request in waiting_for(Encrypt, names, t.env[INBOX].stored):
        readers = [reader for reader in delegates if search.holds(reader, request.identity, found.depth)]
        effects += [Consume(one), sealing(request, [request.identity, *readers], t.config.store)]
    return [*drop_queries(names, t.env.state, t.config.patience_ns), *effects]


@rule(priority=1)
def disregard(_found: EvidenceFound, t: Arrived[EvidenceFound, Sealing, InFlight]) -> Effects[InFlight, SealData]:
    """Evidence that no request waits for, or from another engine. A note. State, messages, timers, engines: none."""
    return Note("evidence that was not asked for", by=t.sender)


@rule(timer=PATIENCE)
def give_up(_patience: Handle, t: Elapsed[Sealing, InFlight]) -> Effects[InFlight, KeyRefused]:
    """State: without the late queries. Messages: that no evidence came, to the requests that waited; these are
    consumed. Timers: for the other queries. Engines: none."""
    late = overdue(t.env.state, t.config.patience_ns, t.now_ns)
    effects: list[Effect[InFlight, KeyRefused]] = [*drop_queries(late, t.env.state, t.config.patience_ns)]
    for one, request in waiting_for(Encrypt, late, t.env[INBOX].stored):
        effects += [Consume(one), Send(request.reply, KeyRefused("not available", LATE, request.request))]
    return effects


ENCRYPTION = Family(
    "encryption",
    config=Sealing,
    state=InFlight(),
    accepts=Encrypt | EvidenceFound,
    emits=SealData | KeyRefused | QueryEvidence,
    boxes=[INBOX],
    timers=[PATIENCE],
).rules(wait, turn_away, encrypt, conclude, disregard, give_up)
