"""Small families for tests of live nodes."""

from __future__ import annotations

import os
import signal
from typing import Never

from engines.model import Arrived, Become, Effects, Family, Message, Note, Ref, Send, Spawn, Stop, Value, rule


class Total(Message):
    count: int
    version: int = 1


class Add(Message):
    amount: int = 1


class Ask(Message):
    reply_to: Ref[Total]


class Die(Message):
    """Kills the process in the middle of a transition."""


class Raise(Message):
    """Makes the action raise."""


class Breed(Message):
    """Spawns a child called `child`."""


class End(Message):
    """Ends the engine."""


class Count(Value):
    total: int = 0


Asked = Arrived[Ask, None, Count]
VERSION = 1


@rule
def add(add: Add, t: Arrived[Add, None, Count]) -> Effects[Count, Never]:
    """State: the sum. Messages, timers, engines: none."""
    return [Become(Count(t.env.state.total + add.amount))]


@rule
def tell(ask: Ask, t: Asked) -> Effects[Count, Total]:
    """State: same. Messages: the total. Timers, engines: none."""
    return [Send(ask.reply_to, Total(t.env.state.total, VERSION)), Note("told", total=t.env.state.total)]


@rule
def die(message: Die, t: Arrived[Die, None, Count]) -> Effects[Count, Never]:
    """Nothing is left to have effects."""
    os.kill(os.getpid(), signal.SIGKILL)
    return []


@rule
def fail(message: Raise, t: Arrived[Raise, None, Count]) -> Effects[Count, Never]:
    """None: it raises."""
    raise RuntimeError("as asked")


@rule
def breed(message: Breed, t: Arrived[Breed, None, Count]) -> Effects[Count, Never]:
    """Engines: one child. State, messages, timers: none."""
    return [Spawn("counting:COUNTER", "child", None)]


@rule
def end(message: End, t: Arrived[End, None, Count]) -> Effects[Count, Never]:
    """The engine ends."""
    return [Stop()]


COUNTER = Family(
    "counter",
    state=Count(),
    accepts=Add | Ask | Die | Raise | Breed | End,
    emits=Total,
    spawns=["counting:COUNTER"],
).rules(add, tell, die, fail, breed, end)
