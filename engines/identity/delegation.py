"""Delegations as facts: who may sign, or read, for whom. Pure.

An **edge** says that its *delegate* may act for its *principal*; the principal signs it. Signing and reading are two
relations, and the signed bytes name theirs. An edge expires at a time, and has a sequence number: of the edges from one
principal to one delegate only the one with the highest number counts, so a revocation is an edge with a higher number
that says so. A number that was used is never forgotten; an old edge cannot come back.

`acts_for` follows edges over at most `depth` of them. Between identities of which one is a threshold it also holds
when each set of the delegate's members that suffices to act acts for members of the principal that suffice together.
(The published rule adds up weights member by member, and so counts a member of the principal twice when two members of
the delegate act for it: two who may both sign for one of two needed signers would pass for both. A test has this case.)

The signed bytes: the tag `enginehost delegation 1`, the relation, each ended by a zero byte; then the identities of
delegate and principal (32 bytes each), sequence and expiry (8 bytes each, big-endian), and 1 for a revocation, else 0.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import combinations
from typing import Annotated, Final, Literal, TypeAlias

from msgspec import Meta

from engines.crypto.keys import (
    Commitment,
    Public,
    PublicKey,
    Threshold,
    any_of,
    identity_of,
    is_sound,
    is_valid,
    signer_of,
)
from engines.model import Value

Relation: TypeAlias = Literal["signs-for", "reads-for"]
Count63: TypeAlias = Annotated[int, Meta(ge=0, le=2**63 - 1)]

DEPTH_MAX: Final = 32
"""Edges that a search may be told to follow one after the other."""

CLASSES_MAX: Final = 12
"""Kinds of members, told apart by whom they act for, that a comparison of thresholds looks at: it tries all sets."""

PAIRS_MAX: Final = 20_000
"""Pairs of identities that a search compares; what it has not found by then, it does not find. A tenth of a second."""

TAG: Final = b"enginehost delegation 1"


class Edge(Value):
    """`delegate` may act for `principal` until `expires_ns`; or, when revoked, may not any more."""

    relation: Relation
    delegate: Public
    principal: bytes
    sequence: Count63
    expires_ns: Count63
    is_revoked: bool = False


class Evidence(Value):
    """An edge with the commitment of its principal."""

    edge: Edge
    proof: Commitment


Edges: TypeAlias = Callable[[bytes], Iterable[Evidence]]
"""Gives the evidence that a principal signed, by its identity."""


def signed_bytes(edge: Edge) -> bytes:
    """What the principal signs."""
    names = identity_of(edge.delegate) + edge.principal
    numbers = edge.sequence.to_bytes(8, "big") + edge.expires_ns.to_bytes(8, "big") + bytes([edge.is_revoked])
    return b"\0".join((TAG, edge.relation.encode(), names + numbers))


def fault_of(evidence: Evidence, relation: Relation, now_ns: int) -> str | None:
    """Why evidence proves nothing; None if it does."""
    edge = evidence.edge
    if edge.relation != relation:
        return f"it is about {edge.relation}"
    if not is_sound(edge.delegate):
        return "its delegate is no identity"
    if identity_of(signer_of(evidence.proof)) != edge.principal:
        return "its principal did not sign it"
    if not is_valid(evidence.proof, signed_bytes(edge)):
        return "its signature does not hold"
    if edge.expires_ns <= now_ns and not edge.is_revoked:
        return "it has expired"
    return None


def acts_for(delegate: Public, principal: Public, edges: Edges, now_ns: int, depth: int) -> bool:
    """Whether `delegate` acts for `principal`, over edges that are in force at `now_ns`."""
    return Search(edges, now_ns).holds(delegate, principal, depth)


class Search:
    """A search, with what it found so far. It ends: each level follows one more edge, or compares single keys."""

    def __init__(self, edges: Edges, now_ns: int) -> None:
        self._edges = edges
        self._now_ns = now_ns
        self._found: dict[tuple[bytes, bytes, int], bool] = {}

    def holds(self, delegate: Public, principal: Public, depth: int) -> bool:
        """Whether `delegate` acts for `principal` over at most `depth` edges one after the other."""
        key = identity_of(delegate), identity_of(principal), depth
        if key not in self._found:
            if len(self._found) >= PAIRS_MAX:
                return False
            self._found[key] = key[0] == key[1]  # counts as a pair from here on; inside, the same key never comes again
            if not self._found[key]:
                self._found[key] = self._follow(delegate, principal, depth)
        return self._found[key]

    def _follow(self, delegate: Public, principal: Public, depth: int) -> bool:
        if isinstance(delegate, Threshold) or isinstance(principal, Threshold):
            if not (is_sound(delegate) and is_sound(principal)):
                return False
            if self._covers(as_threshold(delegate), as_threshold(principal), depth):
                return True
        if depth == 0:
            return False
        edges = in_force(self._edges(identity_of(principal)), self._now_ns)
        return any(self.holds(delegate, edge.delegate, depth - 1) for edge in edges)

    def _covers(self, delegate: Threshold, principal: Threshold, depth: int) -> bool:
        """Whether every sufficient set of the delegate's members acts for a sufficient set of the principal's."""
        weights: dict[frozenset[int], int] = {}
        for member in delegate.members:
            represented = frozenset(
                place for place, other in enumerate(principal.members) if self.holds(member.key, other.key, depth)
            )
            weights[represented] = weights.get(represented, 0) + member.weight
        if len(weights) > CLASSES_MAX:
            return False
        return all(
            weight_of(principal, frozenset().union(*chosen)) >= principal.needed
            for size in range(len(weights) + 1)
            for chosen in combinations(weights, size)
            if sum(weights[one] for one in chosen) >= delegate.needed
        )


def as_threshold(public: Public) -> Threshold:
    """A single key as the threshold of it alone."""
    return any_of(public) if isinstance(public, PublicKey) else public


def weight_of(threshold: Threshold, places: frozenset[int]) -> int:
    """The weight of the members at these places."""
    return sum(threshold.members[place].weight for place in places)


def in_force(evidence: Iterable[Evidence], now_ns: int) -> list[Edge]:
    """The edges that are neither revoked nor expired."""
    return [one.edge for one in evidence if not one.edge.is_revoked and one.edge.expires_ns > now_ns]


def evidence_for(principal: Public, edges: Edges, now_ns: int, depth: int, count_max: int) -> tuple[Evidence, ...]:
    """All evidence in force that may matter to who acts for `principal`: nearest first, at most so many."""
    found: dict[tuple[bytes, bytes], Evidence] = {}
    reached, seen = [principal], set[bytes]()
    for _ in range(depth):
        names = {identity_of(one) for public in reached for one in (public, *members_of(public))}
        reached = []
        for name in sorted(names - seen):
            for one in edges(name):
                if in_force([one], now_ns) and len(found) < count_max:
                    found[name, identity_of(one.edge.delegate)] = one
                    reached.append(one.edge.delegate)
        seen |= names
    return tuple(found.values())


def members_of(public: Public) -> tuple[PublicKey, ...]:
    """The keys that a threshold counts."""
    return () if isinstance(public, PublicKey) else tuple(member.key for member in public.members)


def edges_of(evidence: Iterable[Evidence]) -> Edges:
    """Evidence in the form that searches take."""
    by_principal: dict[bytes, list[Evidence]] = {}
    for one in evidence:
        by_principal.setdefault(one.edge.principal, []).append(one)
    return lambda principal: by_principal.get(principal, ())
