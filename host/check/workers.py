"""The search by several processes: each owns a share of the states, and all go from level to level together.

One process begins alone. Once a level is large enough it forks workers, which know everything it met. For each level

    a worker      looks at its states; reports what it found and how many they are; waits
    coordinator   waits for all reports; says `go`, or `stop` at a violation, a bound, or when no worker has a state
    a worker      expands its states; sends each other worker those that are its own; takes in what it is sent

A state's owner is a function of the local states of some engines, chosen so that the shares are even and few steps
change it: then many successors stay where they are made. Who made a foreign state notes its fingerprint, and sends it
once.

After `stop` the workers answer where states came from, for the way to a violation, and give their shares of the graph
(`shares`) when asked for `graph`, until the coordinator closes its end.
A worker that dies ends the check with an error; the others see the end of their pipes and go. The coordinator's death
is seen the same way.
"""

from __future__ import annotations

import gc
import os
import selectors
import signal
import socket
import struct
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from itertools import combinations
from typing import Final, NoReturn

import msgspec

from engines.model.blame import blame
from engines.model.check.samples import Dice
from host.check.liveness import Graph
from host.check.local import CheckError
from host.check.network import mixed
from host.check.plain import AnySpace
from host.check.properties import Predicate
from host.check.search import NO_RULE_RAISES, Bounds, Counts, Exploration, Findings, Violation
from host.check.shares import JoinedGraph, share_of
from host.check.space import ROSTER, Space, State
from host.check.transfer import Receiver, Sender

LEVEL_MIN: Final = 500
"""States of a level at which workers are worth their start."""

WALKS: Final = 30
WALK_STEPS: Final = 20
"""Random walks, and their length, on which it is tried what decides a state's owner."""

NAMES_MAX: Final = 8
CHOICES_MAX: Final = 64
"""Engines and choices of engines that are tried."""

SENDING: Final = 0.4
"""The work of sending a state and taking it in, in that of making its successors; measured with two-phase commit."""

GRAPH: Final = b"graph"

FOREIGN: Final = -1
"""In place of a parent: the state is another worker's."""

LENGTH: Final = struct.Struct("<Q")


class Level(msgspec.Struct, array_like=True):
    """A worker's report on its states of a level; `violation` and `witnesses` are of these."""

    states: int
    transitions: int
    size: int
    violation: tuple[str, str, tuple[int, ...]] | None = None
    witnesses: dict[str, int] = {}
    dropped: dict[str, int] = {}
    error: str = ""


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
        self._started = time.monotonic()
        self._predicates = predicates
        self.graph: Graph | None = None

    def run(self) -> Findings:
        """Search until the end. Raises CheckError when a worker died."""
        level = self._search.run_until(LEVEL_MIN)
        if not level:
            return self.found
        space, workers = self._space, self._workers
        owner = choose_owner(space, level, workers) if isinstance(space, Space) else space.owner(workers)
        self._fork(level, owner)
        try:
            self._coordinate()
            if self._predicates and not self.found.ended and not self.found.violations:
                self._say(GRAPH)
                mine = share_of(space, self.found.states, self._predicates)
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
        found, base = self.found, (self.found.counts.states, self.found.counts.transitions)
        while True:
            levels = [_LEVEL.decode(pipe.receive()) for pipe in self._pipes]
            counts = found.counts
            counts.depth += any(level.size for level in levels) and self._has_gone
            counts.states = base[0] + sum(level.states for level in levels)
            counts.transitions = base[1] + sum(level.transitions for level in levels)
            if self._progress is not None:
                self._progress(counts)
            for level in levels:
                if level.error:
                    raise CheckError(level.error)
                self._space.dropped.update(level.dropped)
            violated = sorted(level.violation for level in levels if level.violation is not None)
            found.ended = "" if violated else self._bound()
            if violated or found.ended or not any(level.size for level in levels):
                break
            self._has_gone = True
            self._say(b"go")
        self._say(b"stop")
        for name in {name for level in levels for name in level.witnesses}:
            met = [found.witnesses[name]] if name in found.witnesses else []
            met += (self._path(level.witnesses[name]) for level in levels if name in level.witnesses)
            found.witnesses[name] = min(met, key=len)
        for name, what, (print_, *rest) in violated[:1]:
            found.violations.append(Violation(name, what, (*self._path(print_), *rest)))

    def _bound(self) -> str:
        bounds, counts = self._bounds, self.found.counts
        if bounds.states is not None and counts.states >= bounds.states:
            return f"the bound of {bounds.states:,} states was reached"
        if bounds.seconds is not None and time.monotonic() - self._started >= bounds.seconds:
            return f"the bound of {bounds.seconds:g} s was reached"
        if bounds.depth is not None and counts.depth >= bounds.depth:
            return f"the bound of {bounds.depth} steps was reached"
        return ""

    def _path(self, print_: int) -> tuple[int, ...]:
        """The fingerprints from the first state to this one, as the owners know them."""
        path = [print_]
        while True:
            self._say(LENGTH.pack(path[-1]))
            answers = [msgspec.msgpack.decode(pipe.receive()) for pipe in self._pipes]
            parent = next(one for one in answers if one is not None)
            if not parent:
                return tuple(reversed(path))
            path.append(parent)

    def _say(self, word: bytes) -> None:
        for pipe in self._pipes:
            pipe.send(word)

    def _fork(self, level: list[tuple[State, int]], owner: Callable[[State], int]) -> None:
        """Start the workers, each with its share of the level and connections to all others."""
        pairs = {pair: socket.socketpair() for pair in combinations(range(self._workers), 2)}
        ends = [socket.socketpair() for _ in range(self._workers)]
        gc.freeze()  # the tables are shared until they change
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
                mine = [one for one in level if owner(one[0]) == number]
                pipe = Pipe(ends[number][1])
                _work(Explorer(self._search, self._space, pipe, peers, owner, number, self._predicates), mine)
            self._children.append(child)
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
        owner: Callable[[State], int],
        number: int,
        predicates: Sequence[Predicate],
    ) -> None:
        search.found.states = []  # those so far are the coordinator's
        self._predicates = predicates
        self._search = search
        self._space = space
        self._pipe = pipe
        self._peers = peers
        self._owner = owner
        self._number = number
        self._senders = {peer: Sender(space) if isinstance(space, Space) else space for peer in peers}
        self._receiver = Receiver(space) if isinstance(space, Space) else space
        self._report = Level(0, 0, 0)

    def run(self, level: list[tuple[State, int]]) -> None:
        """Go from level to level until told to stop; then answer where states came from."""
        is_new = False
        while True:
            self._look(level, is_new)
            self._pipe.send(msgspec.msgpack.encode(self._report))
            if self._pipe.receive() != b"go":
                break
            level = self._next(level)
            is_new = True
        seen = self._search.found.seen
        while True:
            word = self._pipe.receive()
            if word == GRAPH:
                self._pipe.send(share_of(self._space, self._search.found.states, self._predicates))
                continue
            parent = seen.get(LENGTH.unpack(word)[0])
            self._pipe.send(msgspec.msgpack.encode(None if parent == FOREIGN else parent))

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
            at = violation.path[-1:] if violation.property != NO_RULE_RAISES else violation.path[-2:]
            report.violation = (violation.property, violation.what, tuple(at))
        report.witnesses = {name: path[-1] for name, path in found.witnesses.items()}
        report.dropped = self._space.dropped

    def _next(self, level: list[tuple[State, int]]) -> list[tuple[State, int]]:
        seen, owner = self._search.found.seen, self._owner
        mine = list[tuple[State, int]]()
        foreign: dict[int, list[tuple[State, int]]] = {peer: [] for peer in self._peers}
        self._report.transitions += self._search.expand(level, mine)
        kept = []
        for one in mine:
            number = owner(one[0])
            if number == self._number:
                kept.append(one)
            else:
                foreign[number].append((one[0], seen[one[1]]))
                seen[one[1]] = FOREIGN
        batches = {peer: self._senders[peer].batch(states) for peer, states in foreign.items()}
        for data in exchange(self._peers, batches):
            for state, parent in self._receiver.states(data):
                print_ = self._space.print_of(state)
                if print_ not in seen:
                    seen[print_] = parent
                    kept.append((state, print_))
        return kept


def exchange(peers: dict[int, Pipe], batches: dict[int, bytes]) -> Iterator[bytes]:
    """Send each peer its batch and yield what each sent, sending and receiving at once so that nobody waits for ever.

    Raises EOFError when a peer is gone.
    """
    left = {peer: memoryview(LENGTH.pack(len(data)) + data) for peer, data in batches.items()}
    got = {peer: bytearray() for peer in peers}
    wanted = set(peers)
    with selectors.DefaultSelector() as selector:
        for peer, pipe in peers.items():
            pipe.end.setblocking(False)
            selector.register(pipe.end, selectors.EVENT_READ | selectors.EVENT_WRITE, peer)
        while left or wanted:
            for key, events in selector.select():
                peer = key.data
                if events & selectors.EVENT_WRITE and peer in left:
                    rest = left[peer][peers[peer].end.send(left[peer][: 1 << 18]) :]
                    left[peer] = rest
                    if not rest:
                        del left[peer]
                if events & selectors.EVENT_READ and peer in wanted and _is_whole(peers[peer].end, got[peer]):
                    wanted.discard(peer)
                state = selectors.EVENT_WRITE * (peer in left) | selectors.EVENT_READ * (peer in wanted)
                if state:
                    selector.modify(peers[peer].end, state, peer)
                else:
                    selector.unregister(peers[peer].end)
    for pipe in peers.values():
        pipe.end.setblocking(True)
    for peer in peers:
        yield bytes(got[peer][LENGTH.size :])


def _is_whole(end: socket.socket, got: bytearray) -> bool:
    """Take what is there of one message, and no more; whether it is all."""
    wanted = LENGTH.size if len(got) < LENGTH.size else LENGTH.size + LENGTH.unpack_from(got)[0]
    part = end.recv(min(wanted - len(got), 1 << 18)) if len(got) < wanted else b"."
    if not part:
        raise EOFError
    if len(got) < wanted:
        got += part
    return len(got) >= LENGTH.size and len(got) == LENGTH.size + LENGTH.unpack_from(got)[0]


def choose_owner(space: Space, level: Sequence[tuple[State, int]], workers: int) -> Callable[[State], int]:
    """A function from states to worker numbers, by the local states of some engines, or of all.

    All choices of few engines are tried on random walks from this level. What counts is how even the shares are at each
    distance, since all workers wait for the busiest one, and how many states are sent.
    """
    walks = list(_walks(space, level))
    branching = sum(steps for _, _, steps in walks) / len(walks)
    names = space.rosters[level[0][0][ROSTER]].names[:NAMES_MAX]
    choices = [chosen for size in (1, 2, 3) for chosen in combinations(names, size)][:CHOICES_MAX]

    def cost(chosen: tuple[str, ...]) -> float:
        owner = _owner_by(space, chosen, workers)
        shares = [[0] * workers for _ in range(WALK_STEPS)]
        crossing = 0
        for number, (state, after, _) in enumerate(walks):
            mine = owner(state)
            shares[number % WALK_STEPS][mine] += 1
            crossing += owner(after) != mine
        busiest = sum(map(max, shares)) / len(walks)
        sent = 1.0 - (1.0 - crossing / len(walks)) ** branching
        return float(busiest * (1 + SENDING * sent))

    return _owner_by(space, min([names, *choices], key=cost), workers)


def _walks(space: Space, level: Sequence[tuple[State, int]]) -> Iterator[tuple[State, State, int]]:
    """States on random walks, one distance after the other in each, with the next one and the number of successors."""
    dice = Dice(len(level))
    for _ in range(WALKS):
        state = level[dice.below(len(level))][0]
        for _ in range(WALK_STEPS):
            found = [after.state for after in space.successors(state) if after.state != state]
            after = dice.pick(found) if found else state
            yield state, after, len(found)
            state = after if found else dice.pick(level)[0]


def _owner_by(space: Space, chosen: tuple[str, ...], workers: int) -> Callable[[State], int]:
    prints, rosters = space.parts.local_prints, space.rosters

    def owner(state: State) -> int:
        places = rosters[state[ROSTER]].places
        total = 0
        for name in chosen:
            total ^= prints[state[places[name]]]
        return mixed(total, 1) % workers

    return owner


def _work(worker: Explorer, level: list[tuple[State, int]]) -> NoReturn:
    """A worker's life. It ends without cleaning up what it shares with its parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the coordinator ends, and with it the pipes
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


_LEVEL: Final = msgspec.msgpack.Decoder(Level)
