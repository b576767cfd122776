"""The families of identity, together with the key store's twin, by `step` alone."""

from __future__ import annotations

from typing import Any

import pytest
from example_world import World
from msgspec.structs import replace
from people import IDS, KEYS, committed, edge, link

from engines.crypto.keys import Joint, Signed, Threshold, Weighted, all_of, identity_of, is_valid
from engines.devices.key_store import KEY_STORE, DataSealed, KeyFile, KeyGenerated, KeyRefused, SealedOpened
from engines.identity import verification
from engines.identity.batching import BUSY, LATE, Source
from engines.identity.commitment import COMMITMENT, Commit
from engines.identity.decryption import DECRYPTION, Decrypt
from engines.identity.encryption import ENCRYPTION, Encrypt, Sealing
from engines.identity.evidence import (
    AskDelegation,
    Delegation,
    EvidenceAccepted,
    EvidenceFound,
    EvidenceRefused,
    QueryEvidence,
    Reach,
    SubmitEvidence,
)
from engines.identity.held_key import HeldKey, Retire
from engines.identity.management import (
    MANAGEMENT,
    Backends,
    Connect,
    Delete,
    Generate,
    IdentityDeleted,
    IdentityReady,
    IdentityRefused,
)
from engines.identity.naming import (
    NAMING,
    DotName,
    LocalName,
    NameAccepted,
    NameRefused,
    NamesFound,
    NotResolved,
    QueryNames,
    Resolve,
    ResolveChain,
    Resolved,
    Root,
    SubmitName,
    chain_fault,
)
from engines.identity.node_identity import NODE_IDENTITY, IdentityRequest, IdentityShown, NodeKey
from engines.identity.reads_for import READS_FOR
from engines.identity.signs_for import SIGNS_FOR
from engines.identity.verification import VERIFICATION, Verified, Verify
from engines.model import Map, Ref

ANN: Ref[Any] = Ref("ann")
A, B, C, D = KEYS[:4]
PATIENCE_NS = 1_000_000


class Node(World):
    """All families, and a person called ann."""

    def __init__(self) -> None:
        super().__init__(outside=["ann"])
        assert KEY_STORE.twin is not None
        store: Ref[Any] = Ref("store")
        self.add("store", KEY_STORE.twin, KeyFile("keys", "env:NONE", b"seed"))
        self.add("manager", MANAGEMENT, Backends(Map({"store": store})))
        self.add("signs", SIGNS_FOR, Reach())
        self.add("reads", READS_FOR, Reach())
        self.add("verification", VERIFICATION, Source(Ref("signs"), PATIENCE_NS))
        self.add("encryption", ENCRYPTION, Sealing(Ref("reads"), PATIENCE_NS, store=store))
        self.add("naming", NAMING, Root(IDS[0]))

    def ask(self, target: str, *messages: Any) -> list[Any]:
        """What ann is sent for these messages, sent at once."""
        before = len(self.outside["ann"])
        for message in messages:
            self.send(target, message, sender="ann")
        self.run()
        assert self.dead == []
        return self.outside["ann"][before:]

    def one(self, target: str, message: Any) -> Any:
        """The only answer."""
        [answer] = self.ask(target, message)
        return answer


@pytest.fixture
def node() -> Node:
    return Node()


def test_an_identity_signs_and_decrypts(node: Node) -> None:
    """False if a generated identity's engines do not sign and decrypt for it, by keys that only the store has."""
    ready = node.one("manager", Generate("alice", ANN, request=5))
    assert isinstance(ready, IdentityReady)
    assert (ready.identity, ready.request) == (identity_of(ready.key), 5)
    signed = node.one(str(ready.commitment), Commit(b"data", ANN, 7)).signed
    assert isinstance(signed, Signed)
    assert signed.key == ready.key
    assert is_valid(signed, b"data")
    sealed = node.one("encryption", Encrypt(b"secret", ready.key, ANN)).sealed
    assert node.one(str(ready.decryption), Decrypt(sealed[ready.identity], ANN, 9)) == SealedOpened(b"secret", 9)


def test_a_node_has_an_identity_from_its_first_use_on(node: Node) -> None:
    """False if a node's identity had to be made by hand, or changed, or is not what it signs with."""
    node.add("identity", NODE_IDENTITY, NodeKey(Ref("store")))
    signed = node.one("identity", Commit(b"data", ANN, 3)).signed
    shown = node.one("identity", IdentityRequest(ANN, 4))
    assert shown == IdentityShown(identity_of(signed.key), signed.key, 4)
    assert is_valid(signed, b"data")
    assert node.one("identity", Commit(b"more", ANN)).signed.key == signed.key


def test_requests_for_an_identity_wait_until_it_is_made(node: Node) -> None:
    """False if a request before the first signature got no answer."""
    node.add("identity", NODE_IDENTITY, NodeKey(Ref("store")))
    first, second = node.ask("identity", IdentityRequest(ANN, 1), IdentityRequest(ANN, 2))
    assert (first.identity, first.request, second.request) == (second.identity, 1, 2)


def test_only_users_use_an_identity(node: Node) -> None:
    """False if whoever reaches an identity's engines could sign, decrypt, connect, delete, or make more of them."""
    store: Ref[Any] = Ref("store")
    node.add("identity", NODE_IDENTITY, NodeKey(store, users=("ben",)))
    node.add("own", MANAGEMENT, Backends(Map({"store": store}), users=("ben",)))
    denied = KeyRefused("denied", "ann is none of the users: ben", 1)
    assert node.one("identity", Commit(b"data", ANN, 1)) == denied
    assert isinstance(node.one("identity", IdentityRequest(ANN)), IdentityShown)
    refused = IdentityRefused("denied", "ann is none of the users: ben", 1)
    assert node.one("own", Generate("mine", ANN, request=1)) == refused
    node.send("own", Generate("mine", ANN), sender="ben.2/session")
    [ready] = node.ask("own")
    assert node.one("own", Connect(ready.identity, ANN, request=1)) == refused
    assert node.one("own", Delete(ready.identity, ANN, request=1)) == refused
    assert node.one(str(ready.commitment), Commit(b"data", ANN, 1)) == denied
    assert node.one(str(ready.decryption), Decrypt(b"box", ANN, 1)) == denied
    node.send(str(ready.commitment), Commit(b"data", ANN), sender="ben~1/session")
    [answer] = node.ask("own")
    assert is_valid(answer.signed, b"data")


def test_capabilities_of_generated_identities(node: Node) -> None:
    """False if an identity gets an engine, or a key, for what it was not made for."""
    commit, decrypt = node.ask("manager", Generate("c", ANN, "commit"), Generate("d", ANN, "decrypt"))
    assert (commit.decryption, commit.key.encrypting) == (None, b"")
    assert (decrypt.commitment, decrypt.key.verifying) == (None, b"")
    assert node.one(str(commit.commitment), Commit(b"x", ANN)).signed.key == commit.key


def test_connect_only_with_a_subset(node: Node) -> None:
    """False if a connection gives more than the identity can, or none where it may."""
    both, commit = node.ask("manager", Generate("b", ANN), Generate("c", ANN, "commit"))
    part = node.one("manager", Connect(both.identity, ANN, "decrypt"))
    assert (part.commitment, part.identity) == (None, both.identity)
    assert part.decryption not in (None, both.decryption)
    again = node.one("manager", Connect(commit.identity, ANN, "commit"))
    assert node.one(str(again.commitment), Commit(b"x", ANN)).signed.key == commit.key
    refusals = node.ask(
        "manager",
        Connect(commit.identity, ANN, "both"),
        Connect(commit.identity, ANN, "decrypt"),
        Connect(IDS[0], ANN),
        Connect(both.identity, ANN, backend="ledger"),
        Generate("b", ANN),
        Generate("x", ANN, backend="ledger"),
    )
    reasons = ["not available", "not available", "not found", "does not exist", "already exists", "does not exist"]
    assert all(isinstance(refusal, IdentityRefused) for refusal in refusals)
    assert [refusal.reason for refusal in refusals] == reasons


def test_delete_stops_and_wipes(node: Node) -> None:
    """False if a deleted identity still signs, its key is in the store, or its name stays taken."""
    ready = node.one("manager", Generate("alice", ANN))
    more = node.one("manager", Connect(ready.identity, ANN, "commit"))
    assert node.one("manager", Delete(ready.identity, ANN, request=3)) == IdentityDeleted(ready.identity, 3)
    assert node.state("store").keys == Map()
    for engine in (ready.commitment, ready.decryption, more.commitment):
        node.send(str(engine), Commit(b"x", ANN), sender="ann")
    node.run()
    assert len(node.dead) == 3
    node.dead.clear()
    assert node.one("manager", Connect(ready.identity, ANN)).reason == "not found"
    assert node.one("manager", Delete(ready.identity, ANN)).reason == "not found"
    assert node.one("manager", Generate("alice", ANN)).identity != ready.identity


def test_a_lost_order_is_sent_again(node: Node) -> None:
    """False if the death of the key store's process leaves an asker without an answer, or makes two keys."""
    node.send("manager", Generate("alice", ANN), sender="ann")
    node._deliver(lambda _: 0)
    [lost] = node.transit
    assert lost.outgoing.target == "store"
    node.transit.clear()
    [ready] = node.ask("manager")
    assert isinstance(ready, IdentityReady)
    node.send("manager", Delete(ready.identity, ANN), sender="ann")
    node._deliver(lambda _: 0)
    node.transit = [mail for mail in node.transit if mail.outgoing.target != "store"]
    assert node.ask("manager") == [IdentityDeleted(ready.identity, 0)]
    assert node.state("manager").pending == Map()


def test_a_late_repeat_of_a_deletion_spares_the_next_key(node: Node) -> None:
    """False if a repeated deletion that arrives late wipes the key that has the name now."""
    first = node.one("manager", Generate("alice", ANN))
    node.send("manager", Delete(first.identity, ANN), sender="ann")
    node._deliver(lambda _: 0)
    [late] = [mail for mail in node.transit if mail.outgoing.target == "store"]
    node.run()
    second = node.one("manager", Generate("alice", ANN))
    assert second.identity != first.identity
    node.transit.append(late)
    node.run()
    assert node.one(str(second.commitment), Commit(b"x", ANN)).signed.key == second.key


def test_only_the_key_store_answers(node: Node) -> None:
    """False if another engine can give an identity a key."""
    node.send("manager", Generate("alice", ANN), sender="ann")
    node._deliver(lambda _: 0)
    [number] = node.state("manager").pending.keys()
    node.transit.clear()
    node.send("manager", KeyGenerated("alice", B, number), sender="eve")
    [ready] = node.ask("manager")
    assert ready.key != B
    assert "an answer that was not asked for" in node.notes[0]


def test_only_the_parent_retires(node: Node) -> None:
    """False if anybody can end the engine that signs for an identity."""
    for family in (COMMITMENT, DECRYPTION):
        node.add(f"manager/{family.name}.9", family, HeldKey(Ref("store"), "k"), parent="manager")
        node.ask(f"manager/{family.name}.9", Retire())
        assert f"manager/{family.name}.9" in node.environments
        node.send(f"manager/{family.name}.9", Retire(), sender="manager")
        node.run()
        assert f"manager/{family.name}.9" not in node.environments


def accepted(node: Node, engine: str, *evidence: Any) -> None:
    answers = node.ask(engine, *(SubmitEvidence(one, ANN) for one in evidence))
    assert answers == [EvidenceAccepted(0)] * len(evidence)


@pytest.mark.parametrize(("engine", "relation"), [("signs", "signs-for"), ("reads", "reads-for")])
def test_delegations_are_kept_until_revoked(node: Node, engine: str, relation: Any) -> None:
    """False if A, by way of B, does not act for C; or still does when B's delegation is revoked, or expired."""
    expires_ns = node.now_ns + 1_000
    accepted(node, engine, edge(A, B, relation=relation, expires_ns=expires_ns), edge(B, C, 4, relation=relation))
    ask = AskDelegation(A, C, ANN)
    assert node.one(engine, ask) == Delegation(True, 0)
    assert node.one(engine, replace(ask, delegate=C, principal=A)) == Delegation(False, 0)
    node.pass_time(1_000)
    assert node.one(engine, ask) == Delegation(False, 0)
    accepted(node, engine, edge(A, B, 2, relation=relation))
    assert node.one(engine, ask) == Delegation(True, 0)
    accepted(node, engine, edge(B, C, 5, relation=relation, is_revoked=True))
    assert node.one(engine, ask) == Delegation(False, 0)


def test_evidence_that_is_refused(node: Node) -> None:
    """False if evidence counts that is invalid, known, or older than a revocation: a revoked edge would come back."""
    granted, revoked = edge(A, B, 4), edge(A, B, 5, is_revoked=True)
    accepted(node, "signs", granted)
    assert node.one("signs", SubmitEvidence(granted, ANN, 1)) == EvidenceRefused("duplicate", "it is known", 1)
    accepted(node, "signs", revoked)
    again = node.ask("signs", *(SubmitEvidence(edge(A, B, n), ANN) for n in (3, 4, 5)))
    assert [refusal.reason for refusal in again] == ["superseded"] * 3
    assert node.one("signs", SubmitEvidence(edge(A, B, 6, relation="reads-for"), ANN)) == EvidenceRefused(
        "invalid", "it is about reads-for", 0
    )
    forged = replace(edge(A, B, 6), proof=committed(A, b"x"))
    assert node.one("signs", SubmitEvidence(forged, ANN)).reason == "invalid"
    accepted(node, "signs", edge(A, B, 6))


def test_the_depth_is_a_parameter() -> None:
    """False if an engine follows more edges than its parameters say."""
    world = World(outside=["ann"])
    world.add("signs", SIGNS_FOR, Reach(1))
    for message in (
        *(SubmitEvidence(one, ANN) for one in (edge(A, B), edge(B, C))),
        AskDelegation(A, C, ANN),
        AskDelegation(B, C, ANN),
    ):
        world.send("signs", message)
    world.run()
    assert world.outside["ann"][2:] == [Delegation(False, 0), Delegation(True, 0)]


def test_verification_without_delegates(node: Node) -> None:
    """False if a commitment of another, of other data, or of too few counts."""
    two = Threshold(2, tuple(Weighted(key) for key in (A, B, C)))
    joint = committed(two, b"x")
    assert isinstance(joint, Joint)
    alone = replace(joint, signatures=Map({IDS[0]: joint.signatures[IDS[0]]}))
    cases = [
        (b"x", committed(A, b"x"), A, True),
        (b"y", committed(A, b"x"), A, False),
        (b"x", committed(A, b"x"), B, False),
        (b"x", joint, two, True),
        (b"x", alone, two, False),
        (b"x", replace(joint, threshold=replace(two, needed=1)), two, False),
        (b"x", joint, A, False),
    ]
    accepted(node, "signs", edge(A, B))
    answers = node.ask("verification", *(Verify(data, by, whom, ANN) for data, by, whom, _ in cases))
    assert [answer.is_valid for answer in answers] == [valid for *_, valid in cases]


def queries(node: Node) -> int:
    return sum(": QueryEvidence(" in line for line in node.trace)


def test_a_thousand_verifications_cause_one_query(node: Node) -> None:
    """False if requests about one identity ask once each, or one of them is answered for another."""
    accepted(node, "signs", edge(A, B), edge(B, C))
    delegates = [A, B, C, D]
    requests = [
        Verify(b"x", committed(delegates[n % 4], b"x"), C, ANN, use_signs_for=True, request=n) for n in range(1_000)
    ]
    answers = node.ask("verification", *requests)
    assert queries(node) == 1
    assert sorted(answers, key=lambda answer: answer.request) == [Verified(n % 4 != 3, n) for n in range(1_000)]
    assert node.state("verification").since_ns == Map()
    node.ask("verification", requests[0], replace(requests[0], identity=B))
    assert queries(node) == 3, "one for each identity, and a new one when the last was answered"


def test_a_query_needs_a_good_signature(node: Node) -> None:
    """False if a forged signature costs a query."""
    forged = Verify(b"y", committed(A, b"x"), C, ANN, use_signs_for=True)
    assert node.one("verification", forged) == Verified(False, 0)
    assert queries(node) == 0


def test_evidence_that_does_not_come(node: Node) -> None:
    """False if an asker waits for ever, or nobody may ask again, or a late answer is taken from another engine."""
    del node.environments["signs"]
    request = Verify(b"x", committed(A, b"x"), B, ANN, use_signs_for=True, request=1)
    node.send("verification", request, sender="ann")
    node.send("verification", EvidenceFound(IDS[1], (edge(A, B),), 8), sender="eve")
    node.run()
    assert node.outside["ann"] == [Verified(False, 1, LATE)]
    assert "evidence that was not asked for" in node.notes[0]
    node.send("verification", request, sender="ann")
    node.run()
    assert node.outside["ann"] == [Verified(False, 1, LATE)] * 2
    assert len(node.dead) == 2


def test_too_many_requests_are_answered(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    """False if a request beyond the bound is lost, or the bound is none."""
    monkeypatch.setattr(verification, "WAITING_MAX", 3)
    request = Verify(b"x", committed(A, b"x"), B, ANN, use_signs_for=True)
    answers = node.ask("verification", *(replace(request, request=n) for n in range(5)))
    assert sorted(answers, key=lambda answer: answer.request) == [
        *(Verified(False, n) for n in range(3)),
        *(Verified(False, n, BUSY) for n in (3, 4)),
    ]


def test_encryption_to_those_that_read_for_an_identity(node: Node) -> None:
    """False if a reader gets no box, somebody else gets one, or many requests ask more than once."""
    accepted(node, "reads", edge(A, B, relation="reads-for"), edge(B, C, relation="reads-for"))
    accepted(node, "reads", edge(D, C, 1, relation="reads-for"), edge(D, C, 2, relation="reads-for", is_revoked=True))
    sealed = node.ask("encryption", *(Encrypt(b"x", C, ANN, use_reads_for=True, request=n) for n in range(50)))
    assert queries(node) == 1
    assert {one.request for one in sealed} == set(range(50))
    assert all(set(one.sealed.keys()) == set(IDS[:3]) for one in sealed)
    alone = node.one("encryption", Encrypt(b"x", C, ANN))
    assert isinstance(alone, DataSealed)
    assert set(alone.sealed.keys()) == {IDS[2]}


def test_encryption_to_a_threshold(node: Node) -> None:
    """False if what nobody could open is called encrypted, or one that reads for a threshold gets no box."""
    pair = all_of(A, B)
    request = Encrypt(b"x", pair, ANN, use_reads_for=True)
    refused = KeyRefused("not available", "no reader has a key to decrypt with", 0)
    assert node.ask("encryption", request, replace(request, use_reads_for=False)) == [refused] * 2
    accepted(node, "reads", edge(C, pair, relation="reads-for"))
    assert set(node.one("encryption", request).sealed.keys()) == {IDS[2]}


def test_encryption_without_evidence(node: Node) -> None:
    """False if an asker waits for ever for boxes."""
    del node.environments["reads"]
    node.send("encryption", Encrypt(b"x", C, ANN, use_reads_for=True), sender="ann")
    node.run()
    assert node.outside["ann"] == [KeyRefused("not available", LATE, 0)]


def test_names_are_resolved_link_by_link(node: Node) -> None:
    """False if a name leads elsewhere than its signers said, or a chain passes over a link."""
    links = [link(A, "bob", B), link(B, "carol", C), link(C, "dan", D)]
    assert node.ask("naming", *(SubmitName(one, ANN) for one in links)) == [NameAccepted(0)] * 3
    assert node.one("naming", Resolve(LocalName("bob"), ANN)) == Resolved(IDS[1], (links[0],), 0)
    assert node.one("naming", Resolve(DotName(IDS[1], "carol"), ANN)) == Resolved(IDS[2], (links[1],), 0)
    assert node.one("naming", Resolve(LocalName("carol"), ANN)) == NotResolved(0, 0)
    chain = node.one("naming", ResolveChain(("bob", "carol", "dan"), ANN, 2))
    assert chain == Resolved(IDS[3], tuple(links), 2)
    assert node.one("naming", ResolveChain(("bob", "carol", "eve"), ANN)) == NotResolved(2, 0)
    assert node.one("naming", QueryNames(IDS[2], ANN)) == NamesFound(IDS[2], (links[1],))


def test_names_are_append_only(node: Node) -> None:
    """False if a name can be moved to another identity, or given by one that is not its parent."""
    bob = link(A, "bob", B)
    assert node.one("naming", SubmitName(bob, ANN)) == NameAccepted(0)
    forged = replace(link(B, "eve", B), parent=IDS[0])
    moved = replace(link(A, "x", C), target=IDS[3])
    refusals = node.ask("naming", *(SubmitName(one, ANN) for one in (bob, link(A, "bob", C), forged, moved)))
    assert [refusal.reason for refusal in refusals] == ["duplicate", "conflict", "invalid", "invalid"]
    assert isinstance(refusals[1], NameRefused)
    assert node.one("naming", Resolve(LocalName("bob"), ANN)).target == IDS[1]


def test_a_chain_is_verified_by_whoever_gets_it() -> None:
    """False if a chain with a link exchanged, left out, forged or added passes."""
    labels, links = ("bob", "carol"), (link(A, "bob", B), link(B, "carol", C))
    assert chain_fault(IDS[0], labels, links) is None
    forged = replace(links[1], target=IDS[3])
    faults = [
        chain_fault(IDS[1], labels, links),
        chain_fault(IDS[0], labels, (links[0], forged)),
        chain_fault(IDS[0], labels, (links[0], link(D, "carol", C))),
        chain_fault(IDS[0], labels, links[1:]),
        chain_fault(IDS[0], ("bob", "dan"), links),
    ]
    assert faults == [
        "link 1 is about another name",
        "link 2: its signature does not hold",
        "link 2 is about another name",
        "2 labels need as many links, not 1",
        "link 2 is about another name",
    ]


def test_a_query_is_answered_with_what_the_engine_has(node: Node) -> None:
    """False if evidence cannot be asked for, or its depth is not said with it."""
    accepted(node, "signs", edge(A, B))
    assert node.one("signs", QueryEvidence(B, ANN)) == EvidenceFound(IDS[1], (edge(A, B),), 8)
