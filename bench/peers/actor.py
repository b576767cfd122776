"""The work of an actor in any framework: decode a record into the union, count it, note the time."""

from __future__ import annotations

import time

from bench.record import Counter, decoder
from bench.rounds import Round


class Counting:
    """The bare handler inside an actor, which reports on request."""

    def __init__(self) -> None:
        self._counter, self._first_ns, self._last_ns = Counter(), 0, 0

    def take(self, payload: bytes) -> None:
        """One record. Notes the time of each, because an actor does not know which record is the last."""
        self._counter.handle(decoder.decode(payload))
        self._last_ns = time.monotonic_ns()
        self._first_ns = self._first_ns or self._last_ns

    def tell(self) -> tuple[int, int]:
        """Records since the last call of this, and nanoseconds from the first to the last of them."""
        seen = self._counter.count, self._last_ns - self._first_ns
        self._counter, self._first_ns = Counter(), 0
        return seen


def rate(seen: tuple[int, int], expected: int) -> Round:
    """An actor's report as records per second. Raises `AssertionError` if records are missing."""
    count, took_ns = seen
    if count != expected:
        raise AssertionError(f"{count} of {expected} records arrived")
    return Round(count * 1e9 / max(took_ns, 1), count)
