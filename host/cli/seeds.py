"""The runs of many seeds by several processes, in the order of the seeds.

The first seed is run here, so what cannot be simulated is raised before anything is forked. Each of n workers runs
every n-th of the other seeds and writes the results to a pipe of its own; the pipes are read in turn. A worker that is
far ahead waits, because its pipe is full. The seeds of a worker that ended early are run here: a seed decides
everything, so an error that ended the worker is raised again.
"""

from __future__ import annotations

import os
import signal
import struct
from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import BinaryIO, Final, NoReturn

import msgspec

from host.sim.search import RunResult, Trial, run_trial

LENGTH: Final = struct.Struct("<I")


def run_all(trial: Trial, seeds: Sequence[int], workers: int) -> Generator[RunResult, None, None]:
    """The runs of all seeds. Raises as `run_trial`. Closing the iterator ends the workers."""
    yield run_trial(trial, seeds[0])
    rest = seeds[1:]
    workers = min(workers, len(rest))
    if workers < 2:
        for seed in rest:
            yield run_trial(trial, seed)
        return
    with ExitStack() as stack:
        pipes: list[BinaryIO] = []
        for number in range(workers):
            pipes.append(stack.enter_context(_worker(trial, rest[number::workers], pipes)))
        for at, seed in enumerate(rest):
            yield _result(pipes[at % workers]) or run_trial(trial, seed)


@contextmanager
def _worker(trial: Trial, seeds: Sequence[int], others: Sequence[BinaryIO]) -> Iterator[BinaryIO]:
    """The pipe of a new process; it is killed at the end."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        for end in (reading, *(other.fileno() for other in others)):
            os.close(end)  # or a worker would not notice that nobody reads its results any more
        _work(trial, seeds, writing)
    os.close(writing)
    try:
        with os.fdopen(reading, "rb") as pipe:
            yield pipe
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def _work(trial: Trial, seeds: Sequence[int], writing: int) -> NoReturn:
    """Run seeds until one cannot be run, or nobody reads. Ends without cleaning up what it shares with its parent."""
    try:
        with os.fdopen(writing, "wb") as pipe:
            for seed in seeds:
                data = msgspec.msgpack.encode(run_trial(trial, seed))
                pipe.write(LENGTH.pack(len(data)) + data)
                pipe.flush()
    finally:
        os._exit(0)


def _result(pipe: BinaryIO) -> RunResult | None:
    """A worker's next result; None if it has ended."""
    head = pipe.read(LENGTH.size)
    if len(head) < LENGTH.size:
        return None
    length = LENGTH.unpack(head)[0]
    data = pipe.read(length)
    return _RESULT.decode(data) if len(data) == length else None


_RESULT: Final = msgspec.msgpack.Decoder(RunResult)
