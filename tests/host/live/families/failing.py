"""An engine that fails in every way there is, for tests of supervision."""

from __future__ import annotations

import itertools
import os
import signal
import time
from typing import Never

from engines.model import Arrived, Effects, Family, Message, Ref, Send, Value, rule

FLAG = os.path.join(os.path.dirname(__file__), "hang-at-import")
"""While this file is there, the module does not finish its import."""

while os.path.exists(FLAG):
    time.sleep(0.01)

LEAVES = os.path.join(os.path.dirname(__file__), "leaves-at-import")
"""While this file is there, a process that imports the module ends well."""

if os.path.exists(LEAVES):
    os._exit(0)


class Total(Message):
    count: int


class Add(Message):
    amount: int = 1


class Ask(Message):
    reply_to: Ref[Total]


class Raise(Message):
    """The action raises."""


class Leave(Message):
    """The process ends by itself, with this code."""

    code: int


class Signal(Message):
    """The process ends by this signal."""

    number: int


class Spin(Message):
    """A loop in Python that never ends."""


class Grind(Message):
    """A loop in C that holds the interpreter's lock and never ends."""


class Hog(Message):
    """Takes so much memory and writes to it."""

    megabytes: int


class Spit(Message):
    """Sends `count` messages to `target`: every `raising`th raises, every `killing`th kills, the others count."""

    target: Ref[Add | Raise | Signal]
    count: int
    raising: int = 0
    killing: int = 0


class Count(Value):
    total: int = 0


@rule
def add(message: Add, t: Arrived[Add, None, Count]) -> Effects[Count, Never]:
    return Count(t.env.state.total + message.amount)


@rule
def tell(ask: Ask, t: Arrived[Ask, None, Count]) -> Effects[Count, Total]:
    return [Send(ask.reply_to, Total(t.env.state.total))]


@rule
def fail(message: Raise, t: Arrived[Raise, None, Count]) -> Effects[Count, Never]:
    raise RuntimeError("as asked")


@rule
def leave(message: Leave, t: Arrived[Leave, None, Count]) -> Effects[Count, Never]:
    os._exit(message.code)


class Slow:
    """A stream that is long in writing what it has."""

    def write(self, text: str) -> int:
        return len(text)

    def flush(self) -> None:
        time.sleep(0.3)


@rule
def die(message: Signal, t: Arrived[Signal, None, Count]) -> Effects[Count, Never]:
    os.kill(os.getpid(), message.number)
    return []


@rule
def spin(message: Spin, t: Arrived[Spin, None, Count]) -> Effects[Count, Never]:
    while True:
        pass


@rule
def grind(message: Grind, t: Arrived[Grind, None, Count]) -> Effects[Count, Never]:
    return Count(sum(itertools.repeat(0)))


@rule
def hog(message: Hog, t: Arrived[Hog, None, Count]) -> Effects[Count, Never]:
    return Count(len(bytearray(message.megabytes << 20)))


@rule
def spit(order: Spit, t: Arrived[Spit, None, Count]) -> Effects[Count, Add | Raise | Signal]:
    def one(n: int) -> Add | Raise | Signal:
        if order.killing and n % order.killing == 0:
            return Signal(int(signal.SIGSEGV))
        return Raise() if order.raising and n % order.raising == 0 else Add()

    return [Send(order.target, one(n)) for n in range(1, order.count + 1)]


VICTIM = Family(
    "victim",
    state=Count(),
    accepts=Add | Ask | Raise | Leave | Signal | Spin | Grind | Hog | Spit,
    emits=Total | Add | Raise | Signal,
).rules(add, tell, fail, leave, die, spin, grind, hog, spit)
