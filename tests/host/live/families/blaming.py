"""Engines and a device whose code raises what nobody expects, for tests of who is blamed."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from typing import Never

from engines.model import Arrived, Device, DeviceHost, Effects, Family, Message, Value, rule


class Add(Message):
    pass


class Fail(Message):
    how: str


class Hang(Message):
    """Computes for a long while."""


class Picky(Message):
    """Whose own check raises, as it is read."""

    text: str

    def __post_init__(self) -> None:
        if self.text == "bad":
            raise LookupError("its own check raised")
        if self.text == "leave":
            sys.exit(0)


class Count(Value):
    total: int = 0


class Speechless(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


class Nameless(type):
    @property
    def __name__(cls) -> str:  # type: ignore[override]
        raise RuntimeError("no name")


class Unnamed(Exception, metaclass=Nameless):
    pass


def fail_in_this_way(how: str) -> None:
    match how:
        case "plain":
            raise OSError("ordinary")
        case "name":
            raise OSError("cannot read " + os.fsdecode(b"caf\xe9.txt"))
        case "str":
            raise Speechless
        case "class":
            raise Unnamed
        case "exit":
            sys.exit("the reason, in words")
        case "interrupt":
            raise KeyboardInterrupt
        case "base":
            raise BaseException("the base of all")
        case "cancelled":
            raise asyncio.CancelledError
        case "answer":
            from engines.model import AnswerError

            raise AnswerError("an answer nobody gave")


@rule
def add(m: Add, t: Arrived[Add, None, Count]) -> Effects[Count, Never]:
    """State: one more."""
    return Count(t.env.state.total + 1)


@rule
def fail(m: Fail, t: Arrived[Fail, None, Count]) -> Effects[Count, Never]:
    """None."""
    fail_in_this_way(m.how)
    return Count(-1)


@rule
def hang(m: Hang, t: Arrived[Hang, None, Count]) -> Effects[Count, Never]:
    """State, after a minute."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        pass
    return Count(-1)


@rule
def picky(m: Picky, t: Arrived[Picky, None, Count]) -> Effects[Count, Never]:
    """State: one more."""
    return Count(t.env.state.total + 1)


BLAMED = Family("blamed", state=Count(), accepts=Add | Fail | Hang | Picky).rules(add, fail, hang, picky)


class Driver:
    async def run(self, host: DeviceHost) -> None:
        """Do as each order says; in a task of its own for "task", in a callback for "callback"."""
        while True:
            order = (await host.receive()).message
            if order.how == "task":
                async with asyncio.TaskGroup() as group:
                    group.create_task(self.leave())
            if order.how == "callback":
                asyncio.get_running_loop().call_soon(sys.exit, 0)
                await asyncio.sleep(3600)
            fail_in_this_way(order.how)

    async def leave(self) -> None:
        sys.exit(0)


DEVICE = Device("driven", accepts=Fail, driver=Driver)
