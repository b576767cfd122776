"""What the planted mistakes are made of. Nothing is wrong here."""

from engines.model import Arrived, Box, Config, Elapsed, Message, Ref, Timer, Value


class Pong(Message):
    number: int


class Ping(Message):
    number: int
    reply: Ref[Pong]


class Push(Message):
    number: int


class Limit(Config):
    most: int


class Count(Value):
    number: int = 0


class Name(Value):
    text: str = ""


TICK = Timer("tick")
INBOX = Box(0, accepts=Ping | Push, start=Count())

Pinged = Arrived[Ping, Limit, Count]
Pushed = Arrived[Push, Limit, Count]
Either = Arrived[Ping | Push, Limit, Count]
Ticked = Elapsed[Limit, Count]
