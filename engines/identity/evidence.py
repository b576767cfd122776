"""What signs-for and reads-for have in common: they keep evidence of delegations, and answer who acts for whom.

The two families differ in the relation their state names, and so in the evidence they accept.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal, TypeAlias

from msgspec import Meta
from msgspec.structs import replace

from engines.crypto.keys import Public, identity_of
from engines.identity.delegation import DEPTH_MAX, Evidence, Relation, Search, evidence_for, fault_of
from engines.model import Arrived, Become, Config, Effects, Map, Message, Ref, Send, Value, rule

EVIDENCE_MAX: Final = 100_000
"""Edges that are kept: one for each pair of principal and delegate, for ever, because of its sequence number."""

ANSWER_MAX: Final = 1_000
"""Edges in one answer. A search over more may miss a delegation; it never finds one that is none."""

Fault: TypeAlias = Literal["duplicate", "invalid", "superseded", "full"]


class Reach(Config):
    """How many edges are followed one after the other."""

    depth: Annotated[int, Meta(ge=0, le=DEPTH_MAX)] = 8


class AskDelegation(Message):
    """Does `delegate` act for `principal`?"""

    delegate: Public
    principal: Public
    reply: Ref[Delegation]
    request: int = 0


class Delegation(Message):
    """Whether it does, now."""

    holds: bool
    request: int


class SubmitEvidence(Message):
    """Keep this evidence."""

    evidence: Evidence
    reply: Ref[EvidenceAccepted | EvidenceRefused]
    request: int = 0


class EvidenceAccepted(Message):
    """It counts from now on."""

    request: int


class EvidenceRefused(Message):
    """It does not count, for this reason."""

    reason: Fault
    detail: str
    request: int


class QueryEvidence(Message):
    """Send the evidence from which it follows who acts for `principal`."""

    principal: Public
    reply: Ref[EvidenceFound]


class EvidenceFound(Message):
    """The evidence about the identity `principal`, over the depth of the engine that sent it."""

    principal: bytes
    evidence: tuple[Evidence, ...]
    depth: int


class Known(Value):
    """State: by principal and delegate, the evidence with the highest sequence number; and how many there are."""

    relation: Relation
    edges: Map[bytes, Map[bytes, Evidence]] = Map()
    count: int = 0

    def of(self, principal: bytes) -> tuple[Evidence, ...]:
        """What a principal signed."""
        return self.edges.get(principal, Map[bytes, Evidence]()).values()


Submitted = Arrived[SubmitEvidence, Reach, Known]


def fault(t: Submitted) -> tuple[Fault, str] | None:
    """Why the evidence is refused."""
    known, evidence = t.env.state, t.message.evidence
    if (text := fault_of(evidence, known.relation, t.now_ns)) is not None:
        return "invalid", text
    before = known.edges.get(evidence.edge.principal, Map[bytes, Evidence]()).get(identity_of(evidence.edge.delegate))
    if before is None:
        return ("full", f"{EVIDENCE_MAX} edges are kept") if known.count >= EVIDENCE_MAX else None
    if before.edge == evidence.edge:
        return "duplicate", "it is known"
    if before.edge.sequence >= evidence.edge.sequence:
        return "superseded", f"its sequence number is {evidence.edge.sequence}, and {before.edge.sequence} is known"
    return None


@rule(when=fault)
def refuse(found: tuple[Fault, str], t: Submitted) -> Effects[Known, EvidenceRefused]:
    """Messages: the reason. State, timers, engines: none."""
    return Send(t.message.reply, EvidenceRefused(*found, t.message.request))


@rule(priority=1)
def accept(order: SubmitEvidence, t: Submitted) -> Effects[Known, EvidenceAccepted]:
    """State: the evidence, in place of what it supersedes. Messages: that it counts. Timers, engines: none."""
    known, edge = t.env.state, order.evidence.edge
    before = known.edges.get(edge.principal, Map[bytes, Evidence]())
    after = before.set(identity_of(edge.delegate), order.evidence)
    count = known.count + len(after) - len(before)
    state = replace(known, edges=known.edges.set(edge.principal, after), count=count)
    return [Become(state), Send(order.reply, EvidenceAccepted(order.request))]


@rule
def answer(query: AskDelegation, t: Arrived[AskDelegation, Reach, Known]) -> Effects[Known, Delegation]:
    """Messages: whether one acts for the other. State, timers, engines: none."""
    search = Search(t.env.state.of, t.now_ns)
    return Send(query.reply, Delegation(search.holds(query.delegate, query.principal, t.config.depth), query.request))


@rule
def tell(query: QueryEvidence, t: Arrived[QueryEvidence, Reach, Known]) -> Effects[Known, EvidenceFound]:
    """Messages: the evidence. State, timers, engines: none."""
    found = evidence_for(query.principal, t.env.state.of, t.now_ns, t.config.depth, ANSWER_MAX)
    return Send(query.reply, EvidenceFound(identity_of(query.principal), found, t.config.depth))
