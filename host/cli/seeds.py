"""The runs of many seeds by several processes, in the order of the seeds.

The first seed is run here, so what cannot be simulated is raised before anything is forked. Each of n workers runs
every n-th of the other seeds and writes the results to a pipe of its own; the pipes are read in turn. A worker that is
far ahead waits, because its pipe is full. The seeds of a worker that ended early are run here: a seed decides
everything, so an error that ended the worker is raised again.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Final

import msgspec

from host.live.inspection.child import forked
from host.live.packets import sized, stream_parts
from host.sim.search import RunResult, Trial, run_trial


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
        results: list[Iterator[bytes]] = []
        for number in range(workers):
            reading = stack.enter_context(forked(partial(_work, trial, rest[number::workers])))
            results.append(stream_parts(stack.enter_context(open(reading, "rb", closefd=False))))
        for at, seed in enumerate(rest):
            data = next(results[at % workers], None)
            yield run_trial(trial, seed) if data is None else _RESULT.decode(data)


def _work(trial: Trial, seeds: Sequence[int], writing: int) -> None:
    """Run seeds until one cannot be run, or nobody reads."""
    with open(writing, "wb", buffering=0, closefd=False) as pipe:
        for seed in seeds:
            pipe.write(sized(msgspec.msgpack.encode(run_trial(trial, seed))))


_RESULT: Final = msgspec.msgpack.Decoder(RunResult)
