"""Identity management under check: with orders repeated and delayed, what is known is in the key store.

A name is generated twice, and its first identity deleted; all three requests are in transit at once, and every order to
the key store may be repeated, so any order of arrival and any late repeat is met. `repeats` bounds the repeats.
"""

from __future__ import annotations

from typing import Final, TypeAlias

from engines.crypto.keys import identity_of, public_of
from engines.devices.key_store import TWIN, Derived, KeyFile, Origin, derived_record
from engines.identity.management import (
    MANAGEMENT,
    Backends,
    Delete,
    Generate,
    Identities,
    IdentityDeleted,
    IdentityReady,
    IdentityRefused,
)
from engines.model import Map, Ref
from engines.model.system import OUTSIDE, Envelope, Member, System
from engines.model.system_view import SystemView

Requests: TypeAlias = tuple[int, ...]
"""History: the requests that were answered."""

SEED: Final = b"seed"
RETRY_NS: Final = 1_000_000_000
FIRST: Final = identity_of(public_of(derived_record(SEED, "alice", Origin("manager", 0, True, True, 1)).secret))
"""The identity of the first key that the twin makes."""


def record(answered: Requests, envelope: Envelope, is_sent: bool) -> Requests:
    """The history after a request was answered."""
    if is_sent and isinstance(envelope.message, IdentityReady | IdentityDeleted | IdentityRefused):
        return tuple(sorted((*answered, envelope.message.request)))
    return answered


def stored(view: SystemView) -> set[bytes]:
    """The identities whose keys the key store has."""
    keys: Derived = view.engine("store").state
    records = (derived_record(SEED, name, origin) for name, origin in keys.keys.items())
    return {identity_of(public_of(one.secret)) for one in records}


def known_keys_are_stored(view: SystemView) -> bool:
    """An identity that can be used has its key."""
    state: Identities = view.engine("manager").state
    return set(state.known.keys()) <= stored(view)


def answered_once(view: SystemView) -> bool:
    """No request is answered twice."""
    return len(set(view.history)) == len(view.history)


def name_used_again(view: SystemView) -> bool:
    """The name has a second identity."""
    state: Identities = view.engine("manager").state
    return bool(state.known) and FIRST not in state.known


def all_answered(view: SystemView) -> bool:
    """Every request has an answer."""
    return len(view.history) == len(REQUESTS)


REQUESTS: Final = (
    Generate("alice", Ref(OUTSIDE), request=1),
    Delete(FIRST, Ref(OUTSIDE), request=2),
    Generate("alice", Ref(OUTSIDE), request=3),
)


def SYSTEM(repeats: int = 2) -> System:
    """Management, the key store's twin, and the three requests."""
    config = Backends(Map({"store": TWIN.at("store")}), RETRY_NS)
    return System(
        name="identity management",
        members=[Member("manager", MANAGEMENT, config), Member("store", TWIN, KeyFile("keys", "env:NONE", SEED))],
        messages=[Envelope("manager", request) for request in REQUESTS],
        timers="bounded",
        until_ns=repeats * RETRY_NS,
        history=(),
        record=record,
        always=[known_keys_are_stored, answered_once],
        sometimes=[name_used_again],
        eventually=[all_answered],
    )
