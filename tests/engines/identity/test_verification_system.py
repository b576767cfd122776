"""Verification under the checker; and that the checker finds what it looks for."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from engines.crypto.keys import identity_of
from engines.identity.batching import PATIENCE, InFlight, Source
from engines.identity.evidence import EvidenceFound, QueryEvidence
from engines.identity.verification import (
    INBOX,
    Requested,
    Verified,
    Verify,
    conclude,
    disregard,
    give_up,
    has_room,
    turn_away,
    verify,
)
from engines.identity.verification_system import SYSTEM
from engines.model import Become, Effects, Family, Ref, Send, Store, rule
from engines.model.system import System
from host.check.local import Engines
from host.check.properties import properties_of
from host.check.run import CheckRequest, check
from host.check.search import Bounds, Exploration, Findings
from host.check.space import Space


@pytest.mark.parametrize(("is_lost", "states"), [("false", 528), ("true", 401)])
def test_one_query_and_an_answer_for_all(is_lost: str, states: int) -> None:
    """False if two queries are ever in flight for one identity, or a request gets no, two or a wrong answer."""
    subject = "engines.identity.verification_system:SYSTEM"
    found = check(CheckRequest(subject=subject, params={"is_lost": is_lost})).found
    assert not found.ended
    assert found.violations == []
    assert found.counts.states == states
    assert "sometimes batches" in found.witnesses


@rule(when=has_room)
def wait(_identity: bytes, t: Requested) -> Effects[InFlight, QueryEvidence]:
    """The mistake: a query for each request."""
    asked = t.env.state.since_ns.set(identity_of(t.message.identity), t.now_ns)
    query = Send(t.config.evidence, QueryEvidence(t.message.identity, Ref(t.me.name)))
    return [Store(), Become(InFlight(asked)), query]


EAGER = Family(
    "verification",
    config=Source,
    state=InFlight(),
    accepts=Verify | EvidenceFound,
    emits=Verified | QueryEvidence,
    boxes=[INBOX],
    timers=[PATIENCE],
).rules(wait, turn_away, verify, conclude, disregard, give_up)


def explored(system: System) -> Findings:
    return Exploration(Space(system, Engines()), properties_of(system), Bounds(states=50_000)).run()


def test_a_query_for_each_request_is_found() -> None:
    """False if the check passes an engine that does not batch."""
    system = SYSTEM(requests=3)
    first, *others = system.members
    assert explored(system).violations == []
    found = explored(replace(system, members=[replace(first, family=EAGER), *others]))
    assert [violation.property for violation in found.violations] == ["always one_query"]
