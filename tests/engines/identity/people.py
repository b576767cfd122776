"""Keys and signatures for the tests of identity: five people, by number."""

from __future__ import annotations

from engines.crypto.keys import (
    Commitment,
    Joint,
    Public,
    SecretKey,
    Threshold,
    identity_of,
    public_of,
    secret_from,
    sign,
)
from engines.identity.delegation import Edge, Evidence, Relation, signed_bytes
from engines.identity.naming import Link, signed_name
from engines.model import Map

FOREVER_NS = 2**63 - 1
SECRETS: list[SecretKey] = [
    secret_from(bytes([number]) * 64, can_sign=True, can_decrypt=True) for number in range(1, 9)
]
KEYS = [public_of(secret) for secret in SECRETS]
IDS = [identity_of(key) for key in KEYS]
BY_IDENTITY = dict(zip(IDS, SECRETS, strict=True))


def committed(public: Public, data: bytes) -> Commitment:
    """The commitment of a person, or of all members of a threshold."""
    if not isinstance(public, Threshold):
        return sign(BY_IDENTITY[identity_of(public)], data)
    names = [identity_of(member.key) for member in public.members]
    return Joint(public, Map((name, sign(BY_IDENTITY[name], data).signature) for name in names))


def edge(
    delegate: Public,
    principal: Public,
    sequence: int = 1,
    *,
    relation: Relation = "signs-for",
    expires_ns: int = FOREVER_NS,
    is_revoked: bool = False,
) -> Evidence:
    """Evidence that the delegate acts for the principal, or not any more."""
    said = Edge(relation, delegate, identity_of(principal), sequence, expires_ns, is_revoked)
    return Evidence(said, committed(principal, signed_bytes(said)))


def link(parent: Public, label: str, target: Public) -> Link:
    """A name below the parent."""
    data = signed_name(identity_of(parent), label, identity_of(target))
    return Link(identity_of(parent), label, identity_of(target), committed(parent, data))
