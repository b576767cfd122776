"""The search by several processes: all go from level to level together, and share what was visited.

One process begins alone. Once a level is large enough it forks workers, which know everything it met, and gives each of
them a part of the level. What was visited is one table in shared memory (`_visited.c`): the worker that adds a state to
it is the one that keeps the state and looks at it, so states do not cross between processes. For each level

    a worker      looks at its states; reports what it found and how many they are; waits
    coordinator   waits for all reports; says which workers give others how many states, or `stop`: at a violation, a
                  bound, or when no worker has a state
    a worker      gives or takes states; expands those it has

States are given only if shares differ by much. A part that two workers meet has a number in each of them, so what
crosses are fingerprints of parts (`transfer`).

After `stop` the workers give their shares of the graph (`shares`) if they are asked for `graph`, until the coordinator
closes its end. A worker that dies ends the check with an error; the others see the end of their pipes and go. The
coordinator's death is seen the same way.

Which worker is first to reach a state is chance, and so is which of several shortest ways to a violation is found. The
states, steps and verdicts are not.

After the searches of Stateright (`src/checker/bfs.rs`) and TLC: workers with one set of fingerprints, each with its
predecessor's, and no owners.
"""

from __future__ import annotations

import gc
import os
import select
import signal
import socket
import struct
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from itertools import combinations
from typing import Final, NoReturn

import msgspec

from engines.model.blame import blame
from host.check.liveness import Graph
from host.check.local import CheckError
from host.check.plain import AnySpace
from host.check.properties import Predicate
from host.check.search import Bounds, Counts, Exploration, Findings, Violation
from host.check.shares import JoinedGraph, share_of
from host.check.space import Space, State
from host.check.transfer import Receiver, Sender
from host.check.visited import IS_SHARED

LEVEL_MIN: Final = 500
"""States of a level at which workers are worth their start."""

UNEVEN: Final = 1 / 8
"""States are given when a worker has so much more than the mean, and `LEVEL_MIN` more."""

PROGRESS_S: Final = 0.2
"""Seconds between two looks at how far the workers are."""

GRAPH: Final = b"graph"
STOP: Final = b"stop"

LENGTH: Final = struct.Struct("<Q")


class LevelReport(msgspec.Struct, array_like=True):
    """A worker's report on its states of a level; `states` and `transitions` are all of its own so far."""

    states: int
    transitions: int
    size: int
    violation: tuple[str, str, tuple[int, ...]] | None = None
    witnesses: dict[str, tuple[int, ...]] = {}
    dropped: dict[str, int] = {}
    ended: str = ""
    error: str = ""


Giving = tuple[int, int, int]
"""The number of a worker that gives states, that of one that takes them, and how many."""


class Pipe:
    """One end of a connection for messages of any size."""

    def __init__(self, end: socket.socket) -> None:
        self.end = end

    def send(self, data: bytes) -> None:
        """Send a message whole. Raises OSError when the other side is gone."""
        self.end.sendall(LENGTH.pack(len(data)) + data)

    def receive(self) -> bytes:
        """The next message. Raises EOFError when the other side is gone."""
        return self._exactly(LENGTH.unpack(self._exactly(LENGTH.size))[0])

    def is_ready(self, seconds: float) -> bool:
        """Whether there is something to receive, now or before so much time has passed."""
        return bool(select.select([self.end], [], [], seconds)[0])

    def _exactly(self, size: int) -> bytes:
        data = bytearray()
        while len(data) < size:
            part = self.end.recv(min(size - len(data), 1 << 20))
            if not part:
                raise EOFError
            data += part
        return bytes(data)


class Parallel:
    """A search by `workers` processes, with the interface of `Exploration`."""

    def __init__(
        self,
        search: Exploration,
        space: AnySpace,
        workers: int,
        bounds: Bounds,
        progress: Callable[[Counts], None] | None,
        predicates: Sequence[Predicate] = (),
    ) -> None:
        """`predicates` are those that the graph of all states is wanted for; `search` keeps its states then."""
        self.found: Findings = search.found
        self._search = search
        self._space = space
        self._workers = workers
        self._bounds = bounds
        self._progress = progress
        self._pipes: list[Pipe] = []
        self._children: list[int] = []
        self._has_gone = False
        self._predicates = predicates
        self.graph: Graph | None = None
        self.expanded: list[int] = []
        """How many states each worker looked at."""

    def run(self) -> Findings:
        """Search until the end. Raises CheckError when a worker died, or nothing can be shared."""
        if not IS_SHARED:
            raise CheckError("workers share memory by an extension in C, which was not built: leave --workers out")
        level = self._search.run_until(LEVEL_MIN)
        if not level:
            return self.found
        self._fork(level)
        try:
            self._coordinate()
            if self._predicates and not self.found.ended and not self.found.violations:
                self._say(GRAPH)
                mine = share_of(self._space, self.found.states, self._predicates)
                self.graph = JoinedGraph([mine, *(pipe.receive() for pipe in self._pipes)], self._predicates)
        except (EOFError, OSError) as error:
            raise CheckError("a worker of the check died: is there enough memory?") from error
        except KeyboardInterrupt:
            for child in self._children:
                os.kill(child, signal.SIGKILL)
            raise
        finally:
            self._end()
        self._search.conclude()
        return self.found

    def _coordinate(self) -> None:
        found, before = self.found, self.found.counts.transitions
        while True:
            levels = self._levels()
            sizes = [level.size for level in levels]
            counts = found.counts
            counts.depth += any(sizes) and self._has_gone
            counts.transitions = before + sum(level.transitions for level in levels)
            for level in levels:
                if level.error:
                    raise CheckError(level.error)
                self._space.dropped.update(level.dropped)
            violated = sorted(level.violation for level in levels if level.violation is not None)
            found.ended = "" if violated else self._bound(levels)
            if violated or found.ended or not any(sizes):
                break
            self._has_gone = True
            self._say(msgspec.msgpack.encode(givings(sizes)))
        self._say(STOP)
        self.expanded = [level.states for level in levels]
        for name in {name for level in levels for name in level.witnesses}:
            found.witnesses[name] = min((one.witnesses[name] for one in levels if name in one.witnesses), key=len)
        for name, what, path in violated[:1]:
            found.violations.append(Violation(name, what, path))

    def _levels(self) -> list[LevelReport]:
        """The reports of all workers; shows how far they are in the meantime."""
        levels = []
        for pipe in self._pipes:
            while not pipe.is_ready(PROGRESS_S):
                self._show()
            levels.append(_LEVEL.decode(pipe.receive()))
        self._show()
        return levels

    def _show(self) -> None:
        self.found.counts.states = len(self.found.seen)
        if self._progress is not None:
            self._progress(self.found.counts)

    def _bound(self, levels: Sequence[LevelReport]) -> str:
        depth = self._bounds.depth
        if depth is not None and self.found.counts.depth >= depth and any(level.size for level in levels):
            return f"the bound of {depth} steps was reached"
        return next((level.ended for level in levels if level.ended), "")

    def _say(self, word: bytes) -> None:
        for pipe in self._pipes:
            pipe.send(word)

    def _fork(self, level: list[tuple[State, int]]) -> None:
        """Start the workers, each with its share of the level and connections to all others."""
        pairs = {pair: socket.socketpair() for pair in combinations(range(self._workers), 2)}
        ends = [socket.socketpair() for _ in range(self._workers)]
        gc.freeze()  # the tables are shared until they change
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])  # until a worker ignores it
        for number in range(self._workers):
            child = os.fork()
            if child == 0:
                peers = {
                    b if a == number else a: Pipe(two[a != number]) for (a, b), two in pairs.items() if number in (a, b)
                }
                kept = {id(peer.end) for peer in peers.values()} | {id(ends[number][1])}
                for end in (one for two in (*pairs.values(), *ends) for one in two):
                    if id(end) not in kept:
                        end.close()
                pipe = Pipe(ends[number][1])
                worker = Explorer(self._search, self._space, pipe, peers, number, self._predicates)
                _work(worker, level[number :: self._workers], mask)
            self._children.append(child)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        gc.unfreeze()
        for end in (one for two in pairs.values() for one in two):
            end.close()
        for ours, theirs in ends:
            theirs.close()
            self._pipes.append(Pipe(ours))

    def _end(self) -> None:
        """Let the workers go, and wait for them."""
        for pipe in self._pipes:
            pipe.end.close()
        for child in self._children:
            os.waitpid(child, 0)


class Explorer:
    """A process of a search, in the process itself."""

    def __init__(
        self,
        search: Exploration,
        space: AnySpace,
        pipe: Pipe,
        peers: dict[int, Pipe],
        number: int,
        predicates: Sequence[Predicate],
    ) -> None:
        search.found.states = []  # those so far are the coordinator's
        search.progress = None
        self._predicates = predicates
        self._search = search
        self._space = space
        self._pipe = pipe
        self._peers = peers
        self._number = number
        self._senders = {peer: Sender(space) if isinstance(space, Space) else space for peer in peers}
        self._receiver = Receiver(space) if isinstance(space, Space) else space
        self._report = LevelReport(0, 0, 0)

    def run(self, level: list[tuple[State, int]]) -> None:
        """Go from level to level until told to stop; then give the share of the graph that is wanted."""
        is_new = False
        while True:
            self._look(level, is_new)
            self._pipe.send(msgspec.msgpack.encode(self._report))
            word = self._pipe.receive()
            if word == STOP:
                break
            self._share(level, _GIVINGS.decode(word))
            level, before = [], level
            self._report.transitions += self._search.expand(before, level)
            is_new = True
        while self._pipe.receive() == GRAPH:
            self._pipe.send(share_of(self._space, self._search.found.states, self._predicates))

    def report(self, error: BaseException) -> None:
        """Tell the coordinator what ended this worker."""
        self._report.error = str(error) if isinstance(error, CheckError) else f"a worker raised {blame(error)[1]}"
        self._pipe.send(msgspec.msgpack.encode(self._report))

    def _look(self, level: list[tuple[State, int]], is_new: bool) -> None:
        found, report = self._search.found, self._report
        report.size = len(level)
        if is_new:  # the coordinator looked at the first level
            report.states += len(level)
            self._search.look(level)
        if found.violations:
            violation = found.violations[0]
            report.violation = (violation.property, violation.what, violation.path)
        report.witnesses, report.ended = found.witnesses, found.ended
        report.dropped = self._space.dropped

    def _share(self, level: list[tuple[State, int]], givings: Sequence[Giving]) -> None:
        """Give and take states. All workers do so in one order, so the first pair that is not done can always go on."""
        for giver, taker, count in givings:
            if giver == self._number:
                self._peers[taker].send(self._senders[taker].batch(level[-count:]))
                del level[-count:]
            elif taker == self._number:
                level += self._receiver.states(self._peers[giver].receive())


def givings(sizes: Sequence[int]) -> list[Giving]:
    """What evens out levels of these sizes, or nothing while they differ by little."""
    mean = sum(sizes) // len(sizes)
    if max(sizes) - mean < max(LEVEL_MIN, mean * UNEVEN):
        return []
    takers = [(number, mean - size) for number, size in enumerate(sizes) if size < mean]
    found = list[Giving]()
    for giver, size in enumerate(sizes):
        over = size - mean
        while over > 0 and takers:
            taker, room = takers.pop()
            count = min(over, room)
            found.append((giver, taker, count))
            over -= count
            if room > count:
                takers.append((taker, room - count))
    return found


def _work(worker: Explorer, level: list[tuple[State, int]], mask: Iterable[int]) -> NoReturn:
    """A worker's life. It ends without cleaning up what it shares with its parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the coordinator ends, and with it the pipes
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    code = 0
    try:
        worker.run(level)
    except (EOFError, OSError):
        pass
    except BaseException as error:
        with suppress(OSError):
            worker.report(error)
        code = 1
    finally:
        os._exit(code)


_LEVEL: Final = msgspec.msgpack.Decoder(LevelReport)
_GIVINGS: Final = msgspec.msgpack.Decoder(list[Giving])
