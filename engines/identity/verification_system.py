"""Verification under check: however messages are delayed, one query at most is in flight for each identity.

Commitments of one delegate are to be verified for two identities at once; the signs-for engine knows that it signs for
the first of them. Every request gets one answer, and the right one. With `is_lost` the queries go nowhere, and every
request is answered with that.
"""

from __future__ import annotations

from collections import Counter
from typing import Final, TypeAlias

from engines.crypto.keys import identity_of, public_of, secret_from, sign
from engines.identity.batching import LATE, Source
from engines.identity.delegation import Edge, Evidence, signed_bytes
from engines.identity.evidence import EvidenceFound, Known, QueryEvidence, Reach
from engines.identity.signs_for import SIGNS_FOR
from engines.identity.verification import VERIFICATION, Verified, Verify
from engines.model import Map, Ref
from engines.model.system import OUTSIDE, Envelope, Member, System
from engines.model.system_view import SystemView

Answers: TypeAlias = tuple[tuple[int, bool, str], ...]
"""History: the answers that were sent, by request."""

SECRETS: Final = [secret_from(bytes([n]) * 64, can_sign=True, can_decrypt=False) for n in (1, 2, 3)]
DELEGATE, FIRST, SECOND = (public_of(secret) for secret in SECRETS)
FOREVER_NS: Final = 2**63 - 1
PATIENCE_NS: Final = 1_000_000_000


def record(answers: Answers, envelope: Envelope, is_sent: bool) -> Answers:
    """The history after an answer was sent."""
    message = envelope.message
    if is_sent and isinstance(message, Verified):
        return tuple(sorted((*answers, (message.request, message.is_valid, message.problem))))
    return answers


def one_query(view: SystemView) -> bool:
    """For each identity at most one query, or its answer, is in transit."""
    messages = [envelope.message for envelope in view.in_transit]
    asked = [identity_of(message.principal) for message in messages if isinstance(message, QueryEvidence)]
    told = [message.principal for message in messages if isinstance(message, EvidenceFound)]
    return all(count == 1 for count in Counter([*asked, *told]).values())


def one_right_answer(view: SystemView) -> bool:
    """No request is answered twice, or wrongly: those of even number are about the first identity."""
    answers: Answers = view.history
    numbers = [number for number, _, _ in answers]
    right = all(is_valid is (number % 2 == 0) if not problem else not is_valid for number, is_valid, problem in answers)
    return right and len(numbers) == len(set(numbers))


def batches(view: SystemView) -> bool:
    """Two requests wait for one answer."""
    stored = [one.message for one in view.engine("verification").stored]
    identities = Counter(identity_of(message.identity) for message in stored if isinstance(message, Verify))
    return any(count > 1 for count in identities.values())


def is_lossless(view: SystemView) -> bool:
    """All answers so far rest on evidence."""
    return all(not problem for _, _, problem in view.history)


def SYSTEM(requests: int = 4, is_lost: bool = False) -> System:
    """So many requests, half of them about each identity."""

    def all_answered(view: SystemView) -> bool:
        """Every request has its answer."""
        return len(view.history) == requests

    def late(view: SystemView) -> bool:
        """An answer says that no evidence came."""
        return any(problem == LATE for _, _, problem in view.history)

    edge = Edge("signs-for", DELEGATE, identity_of(FIRST), 1, FOREVER_NS)
    evidence = Evidence(edge, sign(SECRETS[1], signed_bytes(edge)))
    known = Known("signs-for", Map({edge.principal: Map({identity_of(DELEGATE): evidence})}), 1)
    source = Source(Ref(OUTSIDE), PATIENCE_NS) if is_lost else Source(Ref("signs"), 0)
    signed = sign(SECRETS[0], b"data")
    return System(
        name="verification",
        members=[Member("verification", VERIFICATION, source), Member("signs", SIGNS_FOR, Reach(), state=known)],
        messages=[
            Envelope("verification", Verify(b"data", signed, (FIRST, SECOND)[n % 2], Ref(OUTSIDE), True, n))
            for n in range(requests)
        ],
        timers="bounded" if is_lost else "untimed",
        until_ns=4 * PATIENCE_NS if is_lost else None,
        history=(),
        record=record,
        always=[one_query, one_right_answer, *([] if is_lost else [is_lossless])],
        sometimes=[batches, *([late] if is_lost else [])],
        eventually=[all_answered],
    )
