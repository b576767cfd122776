"""The checker, on two-phase commit as engines: all states, and the properties that the system states."""

from __future__ import annotations

import json
import os
import time

from bench.memory import private_bytes
from bench.rounds import Contestant, Round
from engines.protocols.two_phase_commit import SYSTEM
from host.check.local import Engines
from host.check.properties import properties_of
from host.check.search import UNBOUNDED, Exploration
from host.check.space import Space
from host.check.workers import Parallel


def exploring(managers: int, workers: int, peer: str) -> Contestant:
    """A search by so many processes, each round in a new one, so that none finds what an earlier one met."""
    return Contestant(peer, lambda: _in_a_child(managers, workers))


def _in_a_child(managers: int, workers: int) -> Round:
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(writing, json.dumps(_explored(managers, workers)).encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as end:
        answer = end.read()
    os.waitpid(child, 0)
    if not answer:
        raise AssertionError("the check ended without a result")
    rate, states, grown = json.loads(answer)
    detail = {"bytes_per_state": grown / states} if workers == 1 else {}
    return Round(rate, states, (), detail)


def _explored(managers: int, workers: int) -> tuple[float, int, int]:
    """Successors made in a second, distinct states, and bytes that the process grew by."""
    system = SYSTEM(managers)
    properties = properties_of(system)
    before, began_ns = private_bytes(os.getpid()), time.perf_counter_ns()
    space = Space(system, Engines())
    search = Exploration(space, properties)
    found = search.run() if workers == 1 else Parallel(search, space, workers, UNBOUNDED, None).run()
    took_s = (time.perf_counter_ns() - began_ns) / 1e9
    if found.violations or found.ended:
        raise AssertionError(f"{found.violations or found.ended}")
    return found.counts.transitions / took_s, found.counts.states, private_bytes(os.getpid()) - before
