"""Who acts for whom: over several edges, until they expire or are revoked, and between thresholds."""

from __future__ import annotations

from itertools import chain, combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from people import IDS, KEYS, committed, edge

from engines.crypto.keys import Public, PublicKey, Threshold, Weighted, all_of, any_of, identity_of
from engines.identity import delegation
from engines.identity.delegation import Evidence, acts_for, edges_of, evidence_for, fault_of, signed_bytes

A, B, C, D, E, F = KEYS[:6]
NOW_NS = 1_000


def holds(delegate: Public, principal: Public, *evidence: Evidence, depth: int = 8, now_ns: int = NOW_NS) -> bool:
    return acts_for(delegate, principal, edges_of(evidence), now_ns, depth)


def test_delegation_is_transitive_and_has_a_direction() -> None:
    """False if A does not act for C by way of B, or somebody acts for whom they were only delegated by."""
    edges = [edge(A, B), edge(B, C)]
    assert holds(A, C, *edges)
    assert holds(A, B, *edges)
    assert holds(C, C)
    assert not holds(C, A, *edges)
    assert not holds(D, C, *edges)
    assert not holds(A, C, edges[0])


@pytest.mark.parametrize("depth", range(4))
def test_a_search_is_bounded_in_depth(depth: int) -> None:
    """False if more edges are followed than the bound says, or fewer."""
    edges = [edge(A, B), edge(B, C), edge(C, D)]
    assert [holds(one, D, *edges, depth=depth) for one in (D, C, B, A)] == [n <= depth for n in range(4)]


def test_circles_end() -> None:
    """False if edges in a circle keep a search going, or hide a way."""
    edges = [edge(A, B), edge(B, A), edge(B, B), edge(B, C), edge(C, A)]
    assert holds(A, C, *edges)
    assert not holds(D, C, *edges)


def test_an_expired_or_revoked_edge_does_not_count() -> None:
    """False if a delegation outlives its time or its revocation."""
    timed = edge(A, B, expires_ns=NOW_NS + 1)
    assert holds(A, C, timed, edge(B, C))
    assert not holds(A, C, timed, edge(B, C), now_ns=NOW_NS + 1)
    assert not holds(A, C, edge(A, B), edge(B, C, 2, is_revoked=True))


def test_evidence_that_proves_nothing() -> None:
    """False if an edge counts that its principal did not sign, that was changed, has another relation, or is over."""
    good = edge(A, B)
    longer = replace(good.edge, expires_ns=good.edge.expires_ns - 1)
    foreign = edge(A, B, relation="reads-for")
    wrong = {
        "it is about reads-for": foreign,
        "its principal did not sign it": Evidence(good.edge, committed(A, signed_bytes(good.edge))),
        "its signature does not hold": Evidence(longer, good.proof),
        "it has expired": edge(A, B, expires_ns=NOW_NS),
        "its delegate is no identity": edge(PublicKey(b"short"), B),
    }
    assert fault_of(good, "signs-for", NOW_NS) is None
    assert fault_of(edge(A, B, expires_ns=0, is_revoked=True), "signs-for", NOW_NS) is None
    assert {text: fault_of(one, "signs-for", NOW_NS) for text, one in wrong.items()} == {text: text for text in wrong}
    moved = Evidence(replace(foreign.edge, relation="signs-for"), foreign.proof)
    assert fault_of(moved, "signs-for", NOW_NS) == "its signature does not hold"


def test_a_threshold_delegates_jointly() -> None:
    """False if fewer members than a threshold needs can delegate for it."""
    pair = all_of(B, C)
    good = edge(A, pair)
    assert fault_of(good, "signs-for", NOW_NS) is None
    assert holds(A, pair, good)
    assert fault_of(Evidence(good.edge, committed(B, signed_bytes(good.edge))), "signs-for", NOW_NS) is not None
    assert (
        fault_of(Evidence(good.edge, committed(any_of(B, C), signed_bytes(good.edge))), "signs-for", NOW_NS) is not None
    )


def test_members_of_and_and_or() -> None:
    """False if a member acts for all, or does not act for any."""
    assert holds(A, any_of(A, B))
    assert not holds(A, all_of(A, B))
    assert not holds(any_of(A, B), A)
    assert holds(all_of(A, B), A)
    assert holds(all_of(A, B), all_of(A, B))
    assert holds(all_of(A, B), any_of(A, B))
    assert not holds(any_of(A, B), all_of(A, B))


def test_thresholds_act_for_thresholds_by_their_members() -> None:
    """False if members that act for enough members do not suffice, or too few do."""
    ours, theirs = all_of(A, B), all_of(C, D)
    assert holds(ours, theirs, edge(A, C), edge(B, D))
    assert not holds(ours, theirs, edge(A, C))
    assert holds(ours, Threshold(3, (Weighted(C, 1), Weighted(D, 2), Weighted(E, 5))), edge(A, C), edge(B, D))
    assert not holds(ours, Threshold(4, (Weighted(C, 1), Weighted(D, 2), Weighted(E, 5))), edge(A, C), edge(B, D))
    assert holds(ours, theirs, edge(ours, E), edge(E, theirs)), "by way of a single key"
    assert holds(ours, E, edge(theirs, E), edge(A, C), edge(B, D)), "by way of a threshold"


def test_one_member_is_not_counted_twice() -> None:
    """False if two who both act for C pass for C and D, as by the published rule, which adds up weights by member."""
    assert not holds(all_of(A, B), all_of(C, D), edge(A, C), edge(B, C))
    assert holds(any_of(A, B), any_of(C, D), edge(A, C), edge(B, C))


@given(st.data())
def test_a_threshold_that_acts_for_another_never_lacks_weight(data: st.DataObject) -> None:
    """False if by some set of signatures the delegate could act where the members it acts for do not suffice."""

    def threshold(keys: list[PublicKey]) -> Threshold:
        weights = data.draw(st.lists(st.integers(1, 3), min_size=len(keys), max_size=len(keys)))
        members = tuple(Weighted(key, weight) for key, weight in zip(keys, weights, strict=True))
        return Threshold(data.draw(st.integers(1, sum(weights))), members)

    ours, theirs = threshold([A, B, C]), threshold([D, E, F])
    pairs = data.draw(st.sets(st.sampled_from([(n, m) for n in range(3) for m in range(3)])))
    evidence = [edge(ours.members[n].key, theirs.members[m].key) for n, m in pairs]
    sets = chain.from_iterable(combinations(range(3), size) for size in range(4))
    sufficient = [chosen for chosen in sets if sum(ours.members[n].weight for n in chosen) >= ours.needed]
    gained = [sum(theirs.members[m].weight for m in {m for n, m in pairs if n in chosen}) for chosen in sufficient]
    assert holds(ours, theirs, *evidence) is all(weight >= theirs.needed for weight in gained)


def test_a_threshold_that_cannot_be_acts_for_nobody() -> None:
    """False if one that no signatures reach, and so lacks nothing, acts for everybody."""
    never = Threshold(3, (Weighted(A), Weighted(B)))
    assert not holds(never, C)
    assert not holds(never, C, edge(A, C), edge(B, C))


def test_a_search_is_bounded_in_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """False if large evidence keeps an engine busy for ever; it then finds less, and nothing that is not there."""
    edges = [edge(A, B), edge(B, C), edge(C, D)]
    monkeypatch.setattr(delegation, "PAIRS_MAX", 2)
    assert not holds(A, D, *edges)
    assert holds(C, D, *edges)


def test_the_evidence_for_an_identity() -> None:
    """False if an edge is missing that a search needs, or there is one that it does not."""
    pair = all_of(B, C)
    needed = [edge(A, B), edge(D, C), edge(E, pair), edge(F, E)]
    other = [edge(B, KEYS[6]), edge(A, D, expires_ns=1), edge(C, F, 1, is_revoked=True)]
    found = evidence_for(pair, edges_of([*needed, *other]), NOW_NS, 8, 100)
    assert sorted(found, key=needed.index) == needed
    assert [len(evidence_for(pair, edges_of(needed), NOW_NS, depth, 100)) for depth in (0, 1, 2)] == [0, 3, 4]
    assert len(evidence_for(pair, edges_of(needed), NOW_NS, 8, 2)) == 2
    assert identity_of(pair) not in IDS


PARTIES: list[Public] = [A, B, C, D, all_of(A, B), any_of(C, D), Threshold(2, (Weighted(A), Weighted(C), Weighted(D)))]
EDGES = {(n, m): edge(PARTIES[n], PARTIES[m]) for n in range(7) for m in range(7) if n != m}


@given(st.sets(st.sampled_from(sorted(EDGES)), max_size=8), st.integers(0, 6), st.integers(0, 6), st.integers(0, 3))
def test_the_evidence_for_an_identity_is_all_that_a_search_needs(
    pairs: set[tuple[int, int]], delegate: int, principal: int, depth: int
) -> None:
    """False if a query's answer lacks an edge that decides who acts for the identity."""
    known = edges_of(EDGES[pair] for pair in pairs)
    sent = evidence_for(PARTIES[principal], known, NOW_NS, depth, 100)
    whole = acts_for(PARTIES[delegate], PARTIES[principal], known, NOW_NS, depth)
    assert acts_for(PARTIES[delegate], PARTIES[principal], edges_of(sent), NOW_NS, depth) is whole


@given(st.sets(st.sampled_from([(n, m) for n, m in sorted(EDGES) if n < 4 and m < 4])), st.integers(0, 4))
def test_single_keys_are_reached_as_in_a_graph(pairs: set[tuple[int, int]], depth: int) -> None:
    """False if among single keys a delegation is anything else than a way of at most so many edges."""
    reached = {(n, n) for n in range(4)}
    for _ in range(depth):
        reached |= {(n, m) for n, k in reached for j, m in pairs if j == k}
    edges = [EDGES[pair] for pair in pairs]
    assert {(n, m) for n in range(4) for m in range(4) if holds(KEYS[n], KEYS[m], *edges, depth=depth)} == reached
