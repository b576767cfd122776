"""Decryption: opens what is sealed to an identity. The key store answers the asker; this engine holds a name only."""

from __future__ import annotations

from engines.devices.key_store import KeyRefused, OpenSealed, SealedOpened
from engines.identity.held_key import HeldKey, Retire, refusal, retire, stay
from engines.model import Arrived, Effects, Family, Message, Ref, Send, rule


class Decrypt(Message):
    """Open this box: its content, or why it cannot be opened."""

    sealed: bytes
    reply: Ref[SealedOpened | KeyRefused]
    request: int = 0


def denied(t: Arrived[Decrypt, HeldKey, None]) -> KeyRefused | None:
    """The answer to a sender who may not use the key."""
    return refusal(t.sender, t.config.users, t.message.request)


@rule(when=denied)
def refuse(found: KeyRefused, t: Arrived[Decrypt, HeldKey, None]) -> Effects[None, KeyRefused]:
    """Messages: the reason. State, timers, engines: none."""
    return Send(t.message.reply, found)


@rule(priority=1)
def decrypt(order: Decrypt, t: Arrived[Decrypt, HeldKey, None]) -> Effects[None, OpenSealed]:
    """Messages: to the key store, which answers `reply`. State, timers, engines: none."""
    return Send(t.config.store, OpenSealed(t.config.key, order.sealed, order.reply, order.request))


DECRYPTION = Family("decryption", config=HeldKey, accepts=Decrypt | Retire, emits=OpenSealed | KeyRefused).rules(
    refuse, decrypt, retire, stay
)
