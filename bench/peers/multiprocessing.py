"""The standard library: `multiprocessing.Pipe` and `multiprocessing.Queue`, with msgspec bytes, not pickled objects.

Both carry `bytes` with the same encoding as all peers. `Pipe` uses `send_bytes`. A `Queue` pickles its items in its own
thread, which costs little for bytes.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection, wait
from multiprocessing.queues import Queue
from queue import Empty
from typing import Final

from bench.rounds import Contestant, Round
from bench.topologies import End, Send, Weave

DRAIN_MAX: Final = 1024
QUEUED_MAX: Final = 10_000
"""Records in a queue; its semaphore allows at most 32,767."""

FORKING: Final = multiprocessing.get_context("fork")
"""Like the processes of a round (`bench.places`). The default of Python 3.14 would leave a server running."""

Way = tuple[int, int]


def pipe(run: Callable[[Weave], Round]) -> Contestant:
    """`multiprocessing.Pipe(duplex=False)`, one for each way."""
    return Contestant("mp.Pipe", lambda: run(weave_pipes))


def queue(run: Callable[[Weave], Round]) -> Contestant:
    """`multiprocessing.Queue`, one for each receiver."""
    return Contestant("mp.Queue", lambda: run(weave_queues))


@contextmanager
def weave_pipes(ways: Sequence[Way]) -> Iterator[Pipes]:
    """A pipe for each way, open in all processes of the round."""
    pipes = {way: FORKING.Pipe(duplex=False) for way in ways}
    try:
        yield Pipes(pipes)
    finally:
        for reading, writing in pipes.values():
            reading.close()
            writing.close()


@contextmanager
def weave_queues(ways: Sequence[Way]) -> Iterator[Queues]:
    """A queue for each receiver."""
    queues: dict[int, Queue[bytes]] = {there: FORKING.Queue(QUEUED_MAX) for _, there in ways}
    try:
        yield Queues(queues)
    finally:
        for each in queues.values():
            each.close()


class Pipes:
    """The pipes of one round."""

    def __init__(self, pipes: dict[Way, tuple[Connection, Connection]]) -> None:
        self._pipes = pipes

    def join(self, place: int) -> End:
        """The ends that concern a place."""
        reading = [pipe[0] for way, pipe in self._pipes.items() if way[1] == place]
        return PipeEnd(reading, {way[1]: pipe[1] for way, pipe in self._pipes.items() if way[0] == place})


class PipeEnd:
    """A place's ends of pipes."""

    def __init__(self, reading: list[Connection], writing: dict[int, Connection]) -> None:
        self._reading, self._writing = reading, writing

    def outlet(self, place: int) -> Send:
        """Writes to a place; waits while the pipe is full."""
        return self._writing[place].send_bytes

    def wait_for_room(self) -> None:
        """A send waits by itself."""

    def flush(self) -> None:
        """Nothing to do: a write arrives at once."""

    def drain(self) -> Sequence[Sequence[bytes]]:
        """One message from each pipe that has any; from a single pipe, the next message without `wait`."""
        if len(self._reading) == 1:
            return [[self._reading[0].recv_bytes()]]
        ready = wait(self._reading)
        return [[pipe.recv_bytes() for pipe in ready if isinstance(pipe, Connection)]]

    def release(self) -> None:
        """Nothing is kept."""

    def close(self) -> None:
        """Nothing to do: descriptors are closed with the process."""


class Queues:
    """The queues of one round."""

    def __init__(self, queues: dict[int, Queue[bytes]]) -> None:
        self._queues = queues

    def join(self, place: int) -> End:
        """All queues, and the one a place reads from."""
        return QueueEnd(self._queues.get(place), self._queues)


class QueueEnd:
    """A place's queue, and the queues of the others."""

    def __init__(self, own: Queue[bytes] | None, queues: dict[int, Queue[bytes]]) -> None:
        self._own, self._queues = own, queues

    def outlet(self, place: int) -> Send:
        """Puts into a place's queue; waits while it is full."""
        return self._queues[place].put

    def wait_for_room(self) -> None:
        """A put waits by itself."""

    def flush(self) -> None:
        """Nothing to do: the queue's own thread writes at once."""

    def drain(self) -> Sequence[Sequence[bytes]]:
        """Waits for one message, then takes those that have arrived."""
        assert self._own is not None, "this place receives"
        take, taken = self._own.get_nowait, [self._own.get()]
        try:
            while len(taken) < DRAIN_MAX:
                taken.append(take())
        except Empty:
            pass
        return [taken]

    def release(self) -> None:
        """Nothing is kept."""

    def close(self) -> None:
        """Discard messages that are not written yet."""
        for each in self._queues.values():
            each.cancel_join_thread()
