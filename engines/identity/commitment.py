"""Commitment: signs for an identity. The key store answers the asker; this engine holds a name, and no state."""

from __future__ import annotations

from engines.devices.key_store import DataSigned, KeyRefused, SignData
from engines.identity.held_key import HeldKey, Retire, refusal, retire, stay
from engines.model import Arrived, Effects, Family, Message, Ref, Send, rule


class Commit(Message):
    """Sign `data`. The signature is over these bytes as they are: sign only what says what it is."""

    data: bytes
    reply: Ref[DataSigned | KeyRefused]
    request: int = 0


def denied(t: Arrived[Commit, HeldKey, None]) -> KeyRefused | None:
    """The answer to a sender who may not use the key."""
    return refusal(t.sender, t.config.users, t.message.request)


@rule(when=denied)
def refuse(found: KeyRefused, t: Arrived[Commit, HeldKey, None]) -> Effects[None, KeyRefused]:
    """Messages: the reason. State, timers, engines: none."""
    return Send(t.message.reply, found)


@rule(priority=1)
def commit(order: Commit, t: Arrived[Commit, HeldKey, None]) -> Effects[None, SignData]:
    """Messages: to the key store, which answers `reply`. State, timers, engines: none."""
    return Send(t.config.store, SignData(t.config.key, order.data, order.reply, order.request))


COMMITMENT = Family("commitment", config=HeldKey, accepts=Commit | Retire, emits=SignData | KeyRefused).rules(
    refuse, commit, retire, stay
)
