"""A shard by itself: messages in, what it answers out. A height has one transaction here, of the same number."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from engines.execution.messages import (
    Collect,
    KeyWritten,
    KVSAcquireLock,
    KVSRead,
    KVSReadRequest,
    KVSWrite,
    Lock,
    QueryAnswer,
    QueryRefused,
    QueryRequest,
    ReadAsked,
    ShardRoot,
    UpdateSeenAll,
)
from engines.execution.shard import SHARD, Keys, Part
from engines.model import Committed, Configuration, Delivery, Noted, Outgoing, Ref, birth, step


class ShardAlone:
    """A shard, and everything it was sent; `sent` has what it answered last."""

    def __init__(self) -> None:
        self.me = Configuration("test", "shard", None, Part(Ref("dispatcher")))
        self.env = birth(SHARD, self.me, now_ns=0)
        self.sent: list[Any] = []
        self.notes: list[str] = []

    @property
    def keys(self) -> Keys:
        """Its state."""
        return self.env.state

    def send(self, message: Any) -> list[Any]:
        """What it answers: the data of reads and queries, and refusals as text."""
        outcome = step(SHARD, self.me, self.env, Delivery("test", 0, message), now_ns=1)
        assert isinstance(outcome, Committed), outcome
        self.env = outcome.env
        self.sent = [output.message for output in outcome.outputs if isinstance(output, Outgoing)]
        self.notes += [output.text for output in outcome.outputs if isinstance(output, Noted)]
        answers: list[Any] = []
        for one in self.sent:
            match one:
                case KVSRead(reads):
                    answers += [read.datum for read in reads]
                case QueryAnswer():
                    answers.append(one.datum)
                case QueryRefused():
                    answers.append(one.reason)
        return answers

    def lock(
        self,
        height: int,
        read: Sequence[bytes] = (),
        lazy: Sequence[bytes] = (),
        write: Sequence[bytes] = (),
        may: Sequence[bytes] = (),
    ) -> list[Any]:
        """Lock a height, whose one transaction does this."""
        locks = (Lock(height, Ref("executor"), tuple(lazy), tuple(read), tuple(write), tuple(may)),)
        return self.send(KVSAcquireLock(height, height, height, locks))

    def see(self, height: int) -> list[Any]:
        """Move the watermark."""
        return self.send(UpdateSeenAll(height, height))

    def write(self, timestamp: int, key: bytes, datum: bytes | None) -> list[Any]:
        """Write, or release."""
        return self.send(KVSWrite((KeyWritten(timestamp, key, datum),)))

    def ask(self, timestamp: int, key: bytes, actual: bool = True) -> list[Any]:
        """Ask for a lazy read, or let it go."""
        return self.send(KVSReadRequest((ReadAsked(timestamp, key, actual),)))

    def query(self, key: bytes, height: int = 0, *, waits: bool = True) -> list[Any]:
        """Ask for the value at a height."""
        return self.send(QueryRequest(key, Ref("asker"), height, waits=waits))

    def collect(self, height: int) -> None:
        """Collect what is below a height."""
        assert self.send(Collect(height)) == []

    def roots(self) -> list[int]:
        """The heights for which the last message brought roots."""
        return [one.height for one in self.sent if isinstance(one, ShardRoot)]
