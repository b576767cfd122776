"""What measurement keeps of each agent, and the messages between it and the session logs.

| message | from, to |
|---|---|
| FollowLog | measurement to the logs: read this log from here on, and send what is in it |
| LogRead | the logs to measurement: records, and where they are in which file |
| LogsNeeded | the logs to measurement, after a start: send each `FollowLog` again |
"""

from __future__ import annotations

from typing import Final, TypeAlias

from engines.model import Map, Message, Ref, Value

from ..protocol.model import Datum
from .session_records import LogRecord, Usage
from .tokens import Tokens

VISITS_MAX: Final = 50
STATES_MAX: Final = 60
CYCLE_MAX: Final = 10
CYCLES: Final = 5
"""So often the same cycle of states without progress is an alarm."""


class Cursor(Value):
    """How far a file was read. `identity` is that of the file, not of its name."""

    identity: str
    offset: int


class FollowLog(Message):
    """To the logs: read the log of an agent at `path`, and what else is in its folder, as `program` writes it."""

    agent: str
    path: str
    program: str
    cursors: tuple[Cursor, ...]
    destination: Ref[LogRead]


class LogRead(Message):
    """From the logs: what is in a file from `offset` to before `following`. `damaged` lines were left out.

    `is_anew`: the file was cut, and is read from its beginning. `problem` says why the log is not read, if it is not.
    """

    agent: str
    file: str
    identity: str
    offset: int
    following: int
    records: tuple[LogRecord, ...]
    damaged: int = 0
    problem: str = ""
    is_anew: bool = False


class LogsNeeded(Message):
    """From the logs, after a start."""


LogOrder: TypeAlias = FollowLog


class Visit(Value):
    """A stay in a state."""

    begin_ns: int
    state: str
    number: int
    protocol: str
    version: str


class Measured(Value):
    """What is measured about an agent. `facts` are those that the others know; `path` has the states since there was
    progress; `cursors` say how far each file of the log at `log` was read.
    """

    role: str = ""
    digest: str = ""
    session: int = 0
    visits: tuple[Visit, ...] = ()
    tokens: Tokens = Tokens()
    in_state: int = 0
    in_session: int = 0
    cost_picos: int = 0
    path: tuple[str, ...] = ()
    facts: Map[str, Datum] = Map()
    log: str = ""
    program: str = ""
    cursors: Map[str, int] = Map()
    recorded: Map[str, None] = Map()

    @property
    def visit(self) -> Visit:
        """The stay of now."""
        return self.visits[-1] if self.visits else NOWHERE

    def visit_at(self, time_ns: int) -> Visit:
        """The stay at a time; the first one that is known, for a time before it."""
        if not time_ns:
            return self.visit
        return next(
            (one for one in reversed(self.visits) if one.begin_ns <= time_ns),
            self.visits[0] if self.visits else NOWHERE,
        )


NOWHERE: Final = Visit(0, "", 0, "", "")


class Price(Value):
    """What a million tokens of models cost whose name begins with `model`, in millionths of the currency."""

    model: str
    input: int
    cache_read: int
    cache_write: int
    output: int


class Window(Value):
    """How many tokens fit into the context of models whose name begins with `model`."""

    model: str
    tokens: int


def used(usage: Usage) -> int:
    """Tokens that count as used: those that were read anew or written. Reading the cache again uses none."""
    return usage.input + usage.cache_write + usage.output


def window_of(windows: tuple[Window, ...], model: str) -> int | None:
    """The size of the context of a model: of the longest name that it begins with."""
    found = [one for one in windows if model.startswith(one.model)]
    return max(found, key=lambda one: len(one.model)).tokens if found else None


def cost_picos(prices: tuple[Price, ...], model: str, usage: Usage) -> int:
    """What tokens cost, in millionths of a millionth of the currency; 0 for a model without a price."""
    found = [one for one in prices if model.startswith(one.model)]
    if not found:
        return 0
    price = max(found, key=lambda one: len(one.model))
    parts = (
        usage.input * price.input,
        usage.cache_read * price.cache_read,
        usage.cache_write * price.cache_write,
        usage.output * price.output,
    )
    return sum(parts)


def cycle_of(path: tuple[str, ...]) -> tuple[str, ...]:
    """The states at the end of a path that were passed `CYCLES` times in the same order; () if there are none."""
    for length in range(1, CYCLE_MAX + 1):
        if len(path) < length * CYCLES:
            return ()
        cycle = path[-length:]
        if path[-length * CYCLES :] == cycle * CYCLES:
            return cycle
    return ()
