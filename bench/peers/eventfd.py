"""Two processes that wake each other through eventfds, in C: the floor of a round trip between sleeping receivers."""

from __future__ import annotations

import array
import statistics

from bench.places import cores
from bench.rounds import Contestant, Round, Unavailable


def pingpong(round_trips: int) -> Contestant:
    """Median nanoseconds of a round trip; each side sleeps on its own core."""
    return Contestant("eventfd", lambda: _round(round_trips), wait="block")


def _round(round_trips: int) -> Round:
    try:
        from bench._raw import eventfd_round_trips
    except ImportError as error:
        raise Unavailable(f"not compiled: {error}") from None
    taken_ns = array.array("Q", eventfd_round_trips(round_trips, *cores()))
    return Round(statistics.median(taken_ns), len(taken_ns), taken_ns)
