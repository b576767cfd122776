"""Thespian: one actor in its own process, over queues of `multiprocessing`, its fastest base here."""

from __future__ import annotations

from typing import Any

from thespian.actors import Actor, ActorSystem

from bench.peers.actor import Counting, rate
from bench.peers.resident import timed
from bench.record import RECORD, encoder
from bench.rounds import Round

ANSWER_S = 60
TELL = "tell"
BACK = "back"


class Sink(Actor):  # type: ignore[misc]
    """Counts records, reports the count, and returns messages that request it."""

    def __init__(self) -> None:
        super().__init__()
        self._counting = Counting()

    def receiveMessage(self, message: Any, sender: Any) -> None:
        """Called for every message."""
        if isinstance(message, bytes):
            self._counting.take(message)
        elif message == TELL:
            self.send(sender, self._counting.tell())
        elif isinstance(message, tuple):
            self._counting.take(message[1])
            self.send(sender, message)


class Thespian:
    """A separate actor system."""

    _system: Any
    _sink: Any

    def start(self) -> None:
        """Admin, and the actor's process."""
        self._system = ActorSystem("multiprocQueueBase", transientUnique=True)
        self._sink = self._system.createActor(Sink)
        self._system.ask(self._sink, TELL, ANSWER_S)

    def oneway(self, size: int) -> Round:
        """A `tell` per record."""
        tell, sink, encode = self._system.tell, self._sink, encoder.encode
        for _ in range(size):
            tell(sink, encode(RECORD))
        return rate(self._system.ask(sink, TELL, ANSWER_S), size)

    def pingpong(self, size: int) -> Round:
        """An `ask` and its answer."""
        done = timed(lambda: self._system.ask(self._sink, (BACK, encoder.encode(RECORD)), ANSWER_S), size)
        self._system.ask(self._sink, TELL, ANSWER_S)
        return done

    def stop(self) -> None:
        """End the system and its processes."""
        self._system.shutdown()


PEER = Thespian()
