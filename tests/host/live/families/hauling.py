"""Engines that send, keep and measure large messages."""

from __future__ import annotations

from zlib import crc32

from engines.model import Arrived, Become, Blob, Effects, Family, Message, Ref, Send, Value, rule


class Parcel(Message):
    """A large field and its checksum."""

    content: Blob
    checksum: int


class Letter(Message):
    text: str


class Ship(Message):
    """Send `count` parcels with `size` bytes of content to `target`."""

    size: int
    count: int
    target: Ref[Parcel]


class Weigh(Message):
    """Tell what came."""

    reply: Ref[Weight]


class Weight(Message):
    """Parcels that came, bytes in them, those that were damaged, and the checksum of the first as it is kept now."""

    count: int
    size: int
    damaged: int
    first: int


class Shelf(Value):
    """What came, and the first content."""

    count: int = 0
    size: int = 0
    damaged: int = 0
    first: Blob = Blob()


def content_of(size: int, number: int) -> bytes:
    return bytes([number % 251]) * size


@rule
def ship(order: Ship, t: Arrived[Ship, None, None]) -> Effects[None, Parcel]:
    """State, timers, engines: none. Messages: the parcels."""
    contents = [content_of(order.size, number) for number in range(order.count)]
    return [Send(order.target, Parcel(Blob(content), crc32(content))) for content in contents]


@rule
def shelve(parcel: Parcel, t: Arrived[Parcel, None, Shelf]) -> Effects[Shelf, Weight]:
    """State: a parcel more; the first is kept. Messages, timers, engines: none."""
    shelf = t.env.state
    damaged = crc32(parcel.content.view) != parcel.checksum
    first = shelf.first if shelf.count else parcel.content
    return [Become(Shelf(shelf.count + 1, shelf.size + len(parcel.content), shelf.damaged + damaged, first))]


@rule
def weigh(order: Weigh, t: Arrived[Weigh, None, Shelf]) -> Effects[Shelf, Weight]:
    """State, timers, engines: none. Messages: the weight."""
    shelf = t.env.state
    return [Send(order.reply, Weight(shelf.count, shelf.size, shelf.damaged, crc32(shelf.first.view)))]


@rule
def read(letter: Letter, t: Arrived[Letter, None, Shelf]) -> Effects[Shelf, Weight]:
    """State: the letter's size more. Messages, timers, engines: none."""
    shelf = t.env.state
    return [Become(Shelf(shelf.count + 1, shelf.size + len(letter.text), shelf.damaged, shelf.first))]


SHIPPER = Family("shipper", accepts=Ship, emits=Parcel).rules(ship)
KEEPER = Family("keeper", state=Shelf(), accepts=Parcel | Weigh | Letter, emits=Weight).rules(shelve, weigh, read)
