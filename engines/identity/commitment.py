"""Commitment: signs for an identity. The key store answers the asker; this engine holds a name, and no state."""

from __future__ import annotations

from engines.devices.key_store import DataSigned, KeyRefused, SignData
from engines.identity.held_key import HeldKey, Retire, retire, stay
from engines.model import Arrived, Effects, Family, Message, Ref, Send, rule


class Commit(Message):
    """Sign `data`. The signature is over these bytes as they are: sign only what says what it is."""

    data: bytes
    reply: Ref[DataSigned | KeyRefused]
    request: int = 0


@rule
def commit(order: Commit, t: Arrived[Commit, HeldKey, None]) -> Effects[None, SignData]:
    """Messages: to the key store, which answers `reply`. State, timers, engines: none."""
    return Send(t.config.store, SignData(t.config.key, order.data, order.reply, order.request))


COMMITMENT = Family("commitment", config=HeldKey, accepts=Commit | Retire, emits=SignData).rules(commit, retire, stay)
