"""Engines that are born with much state."""

from __future__ import annotations

from engines.model import Arrived, Effects, Family, Message, Ref, Send, Spawn, Value, rule


class Bulk(Value):
    content: bytes = b""


class Size(Message):
    length: int


class Ask(Message):
    reply_to: Ref[Size]


class Breed(Message):
    length: int


@rule
def tell(ask: Ask, t: Arrived[Ask, None, Bulk]) -> Effects[Bulk, Size]:
    """Messages: the size of the state. State, timers, engines: none."""
    return [Send(ask.reply_to, Size(len(t.env.state.content)))]


@rule
def breed(message: Breed, t: Arrived[Breed, None, Bulk]) -> Effects[Bulk, Size]:
    """Engines: one child with so much state. State, messages, timers: none."""
    return [Spawn("bulky:BULKY", "child", None, Bulk(b"x" * message.length))]


BULKY = Family("bulky", state=Bulk(), accepts=Ask | Breed, emits=Size, spawns=["bulky:BULKY"]).rules(tell, breed)
