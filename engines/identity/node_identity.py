"""The identity of a node: a commitment engine whose key is made at its first use, so nobody has to make it.

The key has the name of the configuration and belongs to this engine. Orders to the key store go one way and keep their
order, so an order to sign may follow the order to make the key at once. Making a key that is there is harmless, and so
a birth that forgot repeats it.
"""

from __future__ import annotations

from typing import TypeAlias

from engines.devices.key_store import GenerateKey, KeyGenerated, KeyRefused, SignData
from engines.identity.commitment import Commit
from engines.identity.held_key import refusal
from engines.model import Arrived, Config, Effects, Family, Message, Note, Ref, Send, Value, rule


class NodeKey(Config):
    """The key store, the key's name there, and the engines that may have something signed; () is everybody."""

    store: Ref[GenerateKey | SignData]
    key: str = "node"
    users: tuple[str, ...] = ()


class IdentityRequest(Message):
    """Send the public key, which everybody may know: the node's signatures are verified with it."""

    reply: Ref[KeyGenerated | KeyRefused]
    request: int = 0


class Identified(Value):
    """State: whether the key is known to be there."""

    is_made: bool = False


Out: TypeAlias = GenerateKey | SignData | KeyRefused


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
    store, name = t.config.store, t.config.key
    made = [] if t.env.state.is_made else [Send(store, GenerateKey(name, "commit", Ref(t.me.name)))]
    return [*made, Send(store, SignData(name, order.data, order.reply, order.request))]


@rule
def identify(order: IdentityRequest, t: Arrived[IdentityRequest, NodeKey, Identified]) -> Effects[Identified, Out]:
    """Messages: to the key store, which makes the key if need be, and answers `reply`. State, timers, engines: none."""
    return Send(t.config.store, GenerateKey(t.config.key, "commit", order.reply, order.request))


@rule
def made(_answer: KeyGenerated, t: Arrived[KeyGenerated, NodeKey, Identified]) -> Effects[Identified, Out]:
    """State: the key is there. Messages, timers, engines: none."""
    return Identified(is_made=t.sender == str(t.config.store).partition("#")[0])


@rule
def unmade(refused: KeyRefused, _t: Arrived[KeyRefused, NodeKey, Identified]) -> Effects[Identified, Out]:
    """A note: the next order tries again. State, messages, timers, engines: none."""
    return Note("the node has no identity yet", reason=refused.reason, detail=refused.detail)


NODE_IDENTITY = Family(
    "node-identity",
    config=NodeKey,
    state=Identified(),
    accepts=Commit | IdentityRequest | KeyGenerated | KeyRefused,
    emits=Out,
).rules(refuse, commit, identify, made, unmade)
