"""What the engines that use a key have in common: the key's name in a key store, those who may use it, and an end."""

from __future__ import annotations

from typing import Never

from engines.devices.key_store import KeyRefused, OpenSealed, SignData, owner_of
from engines.model import Arrived, Config, Effects, Message, Note, Ref, Stop, rule


class HeldKey(Config):
    """The key store, and the key's name there. No key is in any engine.

    `users` are the engines that may use the key, with their descendants; () is everybody who reaches this engine.
    """

    store: Ref[SignData | OpenSealed]
    key: str
    users: tuple[str, ...] = ()


def denial(sender: str, users: tuple[str, ...]) -> str | None:
    """Why a sender may not use an identity: it is none of the `users`, nor a descendant of one. `worker` stands for
    `worker.1` and so on too, as `cli` does for commands."""
    owner = owner_of(sender)
    if not users or owner in users or owner.partition(".")[0] in users:
        return None
    return f"{sender} is none of the users: {', '.join(users)}"


def refusal(sender: str, users: tuple[str, ...], request: int) -> KeyRefused | None:
    """The answer to a sender who may not use a key."""
    reason = denial(sender, users)
    return None if reason is None else KeyRefused("denied", reason, request)


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
