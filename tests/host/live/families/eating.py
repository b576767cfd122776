"""An engine that takes memory which no limit of a process sees, for tests of control groups."""

from __future__ import annotations

import mmap
import subprocess
import sys
from typing import Never

from engines.model import Arrived, Effects, Family, Message, Ref, Send, Value, rule

PROGRAM = """
import mmap, sys
kept = mmap.mmap(-1, int(sys.argv[1]) << 20)
for _ in range(int(sys.argv[1])):
    kept.write(bytes(1 << 20))
"""


class Total(Message):
    count: int


class Add(Message):
    amount: int = 1


class Ask(Message):
    reply_to: Ref[Total]


class Share(Message):
    """Maps so much shared memory and writes to all of it."""

    megabytes: int


class Run(Message):
    """Has a program do that, and takes how it ended as its total."""

    megabytes: int


class Start(Message):
    """Starts a program that outlives its parent and hangs on nothing of the node; its number is the total."""


class Count(Value):
    total: int = 0


@rule
def add(message: Add, t: Arrived[Add, None, Count]) -> Effects[Count, Never]:
    return Count(t.env.state.total + message.amount)


@rule
def tell(ask: Ask, t: Arrived[Ask, None, Count]) -> Effects[Count, Total]:
    return [Send(ask.reply_to, Total(t.env.state.total))]


@rule
def share(message: Share, t: Arrived[Share, None, Count]) -> Effects[Count, Never]:
    with mmap.mmap(-1, message.megabytes << 20) as shared:
        for _ in range(message.megabytes):
            shared.write(bytes(1 << 20))
    return Count(message.megabytes)


@rule
def run(message: Run, t: Arrived[Run, None, Count]) -> Effects[Count, Never]:
    return Count(subprocess.run([sys.executable, "-c", PROGRAM, str(message.megabytes)], check=False).returncode)


@rule
def start(message: Start, t: Arrived[Start, None, Count]) -> Effects[Count, Never]:
    return Count(subprocess.Popen(["sleep", "3600"], start_new_session=True).pid)


EATER = Family("eater", state=Count(), accepts=Add | Ask | Share | Run | Start, emits=Total).rules(
    add, tell, share, run, start
)
