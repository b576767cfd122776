"""A host that sends parcels to its lodger, and to others once the lodger left."""

from __future__ import annotations

from typing import Never

from engines.model import Arrived, Blob, Effects, Family, Message, Numbered, Ref, Send, Spawn, Stop, rule


class Parcel(Message):
    """A large field."""

    content: Blob


class Close(Message):
    """Leave."""


class Open(Message):
    """Spawn a lodger."""


class Ship(Message):
    """Send a parcel of `size` bytes to `target`."""

    size: int
    target: Ref[Parcel]


@rule
def take(parcel: Parcel, t: Arrived[Parcel, None, None]) -> Effects[None, Never]:
    return []


@rule
def leave(order: Close, t: Arrived[Close, None, None]) -> Effects[None, Never]:
    return [Stop()]


LODGER = Family("lodger", accepts=Parcel | Close).rules(take, leave)


@rule
def let(order: Open, t: Arrived[Open, None, None]) -> Effects[None, Parcel]:
    return [Spawn(LODGER, Numbered("lodger"))]


@rule
def ship(order: Ship, t: Arrived[Ship, None, None]) -> Effects[None, Parcel]:
    return [Send(order.target, Parcel(Blob(bytes(order.size))))]


HOST = Family("host", accepts=Open | Ship, emits=Parcel, spawns=[LODGER]).rules(let, ship)
