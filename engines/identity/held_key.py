"""What commitment and decryption have in common: the name of a key in a key store, and an end."""

from __future__ import annotations

from typing import Never

from engines.devices.key_store import OpenSealed, SignData
from engines.model import Arrived, Config, Effects, Message, Note, Ref, Stop, rule


class HeldKey(Config):
    """The key store, and the key's name there. No key is in any engine."""

    store: Ref[SignData | OpenSealed]
    key: str


class Retire(Message):
    """From the parent: the identity is deleted."""


def from_parent(t: Arrived[Retire, HeldKey, None]) -> Retire | None:
    """Only the parent retires."""
    return t.message if t.sender == t.me.parent else None


@rule(when=from_parent)
def retire(_order: Retire, _t: Arrived[Retire, HeldKey, None]) -> Effects[None, Never]:
    """Engines: this one ends. State, messages, timers: none."""
    return Stop()


@rule(priority=1)
def stay(_order: Retire, t: Arrived[Retire, HeldKey, None]) -> Effects[None, Never]:
    """From another engine: a note. State, messages, timers, engines: none."""
    return Note("not retired: the order is not the parent's", by=t.sender)
