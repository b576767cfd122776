"""The search by several processes: each owns a share of the states, and all go from level to level together.

One process begins alone. Once a level is large enough it forks workers, which know everything it met. For each level

    a worker      looks at its states; reports what it found and how many they are; waits
    coordinator   waits for all reports; says `go`, or `stop` at a violation, a bound, or when no worker has a state
    a worker      expands its states; sends each other worker those that are its own; takes in what it is sent

A state's owner is a function of the local states of a few engines, chosen so that few steps change it and the shares
are even: most successors stay where they are made. Who made a foreign state notes its fingerprint, to send it once.

After `stop` the workers answer where states came from, for the way to a violation, until the coordinator says `quit`.
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
from itertools import combinations
from typing import Final, NoReturn

import msgspec

from host.check.local import CheckError
from host.check.network import mixed
from host.check.search import Bounds, Counts, Exploration, Findings, Violation
from host.check.space import Space, State
from host.check.transfer import Receiver, Sender

LEVEL_MIN: Final = 500
"""States of a level at which workers are worth their start."""

SAMPLE: Final = 200
"""States whose steps are looked at to choose what decides a state's owner."""

NAMES_MAX: Final = 12
"""Engines that are tried for it."""

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
        self, search: Exploration, space: Space, workers: int, bounds: Bounds, progress: Callable[[Counts], None] | None
    ) -> None:
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

    def run(self) -> Findings:
        """Search until the end. Raises CheckError when a worker died."""
        level = self._search.run_until(LEVEL_MIN)
        if not level:
            return self.found
        owner = choose_owner(self._space, level, self._workers)
        self._fork(level, owner)
        try:
            self._coordinate()
        except (EOFError, OSError) as error:
            raise CheckError("a worker of the check died: is there enough memory?") from error
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
                _work(Explorer(self._search, self._space, Pipe(ends[number][1]), peers, owner, number), mine)
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
        space: Space,
        pipe: Pipe,
        peers: dict[int, Pipe],
        owner: Callable[[State], int],
        number: int,
    ) -> None:
        self._search = search
        self._space = space
        self._pipe = pipe
        self._peers = peers
        self._owner = owner
        self._number = number
        self._senders = {peer: Sender(space) for peer in peers}
        self._receiver = Receiver(space)
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
            parent = seen.get(LENGTH.unpack(self._pipe.receive())[0])
            self._pipe.send(msgspec.msgpack.encode(None if parent == FOREIGN else parent))

    def _look(self, level: list[tuple[State, int]], is_new: bool) -> None:
        found, report = self._search.found, self._report
        report.size = len(level)
        if is_new:  # the coordinator looked at the first level
            report.states += len(level)
            self._search.look(level)
        if found.violations:
            violation = found.violations[0]
            at = violation.path[-1:] if violation.property != "no rule raises" else violation.path[-2:]
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
    """A function from states to worker numbers, by the local states of one or two engines.

    Of all choices it takes the one with the least work for the busiest worker, a sent state counting twice.
    """
    roster = space.rosters[level[0][0][0]]
    sample = [state for state, _ in level[:: max(1, len(level) // SAMPLE)]]
    steps = [(state, after.state) for state in sample for after in space.successors(state)]
    prints = space.parts.local_prints
    names = roster.names[:NAMES_MAX]

    def owner_by(chosen: tuple[str, ...]) -> Callable[[State], int]:
        def owner(state: State) -> int:
            places = space.rosters[state[0]].places
            total = 0
            for name in chosen:
                total ^= prints[state[places[name]]]
            return mixed(total, 1) % workers

        return owner

    def cost(chosen: tuple[str, ...]) -> float:
        owner = owner_by(chosen)
        shares = [0] * workers
        for state in sample:
            shares[owner(state)] += 1
        crossing = sum(owner(before) != owner(after) for before, after in steps)
        return max(shares) / len(sample) * (1 + 2 * crossing / max(1, len(steps)))

    return owner_by(min((chosen for size in (1, 2) for chosen in combinations(names, size)), key=cost))


def _work(worker: Explorer, level: list[tuple[State, int]]) -> NoReturn:
    """A worker's life. It ends without cleaning up what it shares with its parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the coordinator ends, and with it the pipes
    code = 0
    try:
        worker.run(level)
    except (EOFError, OSError):
        pass
    except BaseException:
        import traceback

        traceback.print_exc()
        code = 1
    finally:
        os._exit(code)


_LEVEL: Final = msgspec.msgpack.Decoder(Level)
