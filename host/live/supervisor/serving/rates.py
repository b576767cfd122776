"""Rates of engines, from their counters at the last two looks that were at least `RATE_NS_MIN` apart.

The first look compares with the moment when the engine's process became ready, with counters of zero.
"""

from __future__ import annotations

from typing import Final

import msgspec

RATE_NS_MIN: Final = 100_000_000
"""A shorter interval gives no meaningful rate."""


class Sample(msgspec.Struct, frozen=True):
    """Counters of an engine at a moment, and the rates since the sample before."""

    at_ns: int = 0
    received: int = 0
    sent: int = 0
    in_rate: float = 0.0
    out_rate: float = 0.0


class Rates:
    """The last sample of each engine."""

    def __init__(self) -> None:
        self._samples: dict[str, Sample] = {}

    def begin(self, name: str, now_ns: int) -> None:
        """The engine became ready in a new process, which counts from zero."""
        self._samples[name] = Sample(now_ns)

    def at(self, name: str, now_ns: int, received: int, sent: int) -> Sample:
        """A sample with the rates that follow from it. Counters that went back belong to a new process."""
        before = self._samples.get(name, Sample())
        passed = now_ns - before.at_ns
        if passed < RATE_NS_MIN:
            return before
        if before.at_ns == 0 or received < before.received or sent < before.sent:
            found = Sample(now_ns, received, sent)
        else:
            per_ns = 1e9 / passed
            in_rate, out_rate = (received - before.received) * per_ns, (sent - before.sent) * per_ns
            found = Sample(now_ns, received, sent, in_rate, out_rate)
        self._samples[name] = found
        return found

    def keep(self, names: set[str]) -> None:
        """Forget all other engines."""
        for name in self._samples.keys() - names:
            del self._samples[name]
