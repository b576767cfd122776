"""The identity of a node: a commitment engine whose key is made at its first use, so nobody has to make it.

The key has the name of the configuration and belongs to this engine. Orders to the key store go one way and keep their
order, so an order to sign may follow the order to make the key at once. Making a key that is there is harmless, and so
is a repetition by a birth that forgot, or after an answer that was lost.
"""

from __future__ import annotations

from typing import Final, TypeAlias

from msgspec.structs import replace

from engines.crypto.keys import PublicKey, identity_of
from engines.devices.key_store import GenerateKey, KeyGenerated, KeyRefused, SignData
from engines.identity.commitment import Commit
from engines.identity.held_key import refusal
from engines.model import Arrived, Become, Config, Effects, Family, Message, Note, Ref, Send, Sent, Value, rule

WAITING_MAX: Final = 256
"""Requests for the identity while it is not known; the oldest of more get no answer, and ask again."""


class NodeKey(Config):
    """The key store, the key's name there, and the engines that may have something signed; () is everybody."""

    store: Ref[GenerateKey | SignData]
    key: str = "node"
    users: tuple[str, ...] = ()


class IdentityRequest(Message):
    """Send the node's identity, which everybody may know: its signatures are verified with it."""

    reply: Ref[IdentityShown]
    request: int = 0


class IdentityShown(Message):
    """The identity, and its public key."""

    identity: bytes
    key: PublicKey
    request: int


class Identified(Value):
    """State: the public key, once it is known; until then the requests for it."""

    key: PublicKey | None = None
    waiting: tuple[IdentityRequest, ...] = ()


Out: TypeAlias = GenerateKey | SignData | KeyRefused | IdentityShown


def denied(t: Arrived[Commit, NodeKey, Identified]) -> KeyRefused | None:
    """The answer to a sender who may not use the key."""
    return refusal(t.sender, t.config.users, t.message.request)


@rule(when=denied)
def refuse(found: KeyRefused, t: Arrived[Commit, NodeKey, Identified]) -> Effects[Identified, Out]:
    """Messages: the reason. State, timers, engines: none."""
    return Send(t.message.reply, found)


@rule(priority=1)
def commit(order: Commit, t: Arrived[Commit, NodeKey, Identified]) -> Effects[Identified, Out]:
    """Messages: to the key store, which answers `reply`; before it, to make the key if need be. State, timers, engines:
    none."""
    making = [] if t.env.state.key else [making_order(t.config, t.me.name)]
    return [*making, Send(t.config.store, SignData(t.config.key, order.data, order.reply, order.request))]


def making_order(config: NodeKey, me: str) -> Sent[GenerateKey]:
    """The order to make the key."""
    return Send(config.store, GenerateKey(config.key, "commit", Ref(me)))


@rule
def identify(order: IdentityRequest, t: Arrived[IdentityRequest, NodeKey, Identified]) -> Effects[Identified, Out]:
    """State: the request waits, until the key is known. Messages: the identity, or the order to make its key. Timers,
    engines: none."""
    state = t.env.state
    if state.key is not None:
        return shown(order, state.key)
    waiting = (*state.waiting, order)[-WAITING_MAX:]
    return [Become(replace(state, waiting=waiting)), making_order(t.config, t.me.name)]


def shown(order: IdentityRequest, key: PublicKey) -> Sent[IdentityShown]:
    """The answer to a request."""
    return Send(order.reply, IdentityShown(identity_of(key), key, order.request))


def key_of_store(t: Arrived[KeyGenerated, NodeKey, Identified]) -> PublicKey | None:
    """The key, if the key store says that it is there."""
    return t.message.key if t.sender == str(t.config.store).partition("#")[0] else None


@rule(when=key_of_store)
def learn(key: PublicKey, t: Arrived[KeyGenerated, NodeKey, Identified]) -> Effects[Identified, Out]:
    """State: the key is known. Messages: the identity, to those who wait. Timers, engines: none."""
    return [Become(Identified(key)), *(shown(order, key) for order in t.env.state.waiting)]


@rule(priority=1)
def disregard(_answer: KeyGenerated, t: Arrived[KeyGenerated, NodeKey, Identified]) -> Effects[Identified, Out]:
    """From another engine: a note. State, messages, timers, engines: none."""
    return Note("no key of the key store", by=t.sender)


@rule
def despair(refused: KeyRefused, _t: Arrived[KeyRefused, NodeKey, Identified]) -> Effects[Identified, Out]:
    """A note: the next order tries again. State, messages, timers, engines: none."""
    return Note("the node has no identity yet", reason=refused.reason, detail=refused.detail)


NODE_IDENTITY = Family(
    "node-identity",
    config=NodeKey,
    state=Identified(),
    accepts=Commit | IdentityRequest | KeyGenerated | KeyRefused,
    emits=Out,
).rules(refuse, commit, identify, learn, disregard, despair)
