"""Two processes that wake each other through eventfds, in C: the floor of a round trip between sleeping receivers."""

from __future__ import annotations

import array
import statistics

from bench.processes import cores
from bench.rounds import Contestant, Unavailable


def pingpong(round_trips: int) -> Contestant:
    """Median nanoseconds of a round trip, each side asleep on a core of its own."""
    return Contestant("pingpong", "eventfd", "ns", lambda: _round(round_trips))


def _round(round_trips: int) -> tuple[float, dict[str, float]]:
    try:
        from bench._raw import eventfd_round_trips
    except ImportError as error:
        raise Unavailable(f"not compiled: {error}") from None
    taken_ns = sorted(array.array("Q", eventfd_round_trips(round_trips, *cores())))
    return statistics.median(taken_ns), {"p99": taken_ns[len(taken_ns) * 99 // 100]}
