"""Engine time: nanoseconds since the epoch, the same in every process of a node, never going back.

The wall clock is read once, when the node starts; from then on time is that plus what CLOCK_BOOTTIME has counted since,
so a correction of the wall clock or a suspended machine moves no timer wrongly. All processes share one number, the
difference between the two clocks; CLOCK_BOOTTIME itself is the machine's.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from time import CLOCK_BOOTTIME, clock_gettime_ns
from typing import Final

POLL_MS_MAX: Final = 2**31 - 1
"""The longest wait that `poll` takes; a wait of more than 25 days is split."""


def left_ms(until_ns: int) -> int:
    """Milliseconds until `until_ns` on the monotonic clock, for `poll`: rounded up, and within its limit."""
    return min(POLL_MS_MAX, max(0, -(-(until_ns - time.monotonic_ns()) // 1_000_000)))


def offset_now() -> int:
    """The number that added to CLOCK_BOOTTIME gives engine time; a supervisor takes it once."""
    return time.time_ns() - clock_gettime_ns(CLOCK_BOOTTIME)


def offset_from(offset_ns: int, not_before_ns: int) -> int:
    """The offset of a clock that starts at `not_before_ns` or later."""
    return max(offset_ns, not_before_ns - clock_gettime_ns(CLOCK_BOOTTIME))


def engine_clock(offset_ns: int) -> Callable[[], int]:
    """A clock that never goes back, since CLOCK_BOOTTIME does not."""

    def now_ns(read: Callable[[int], int] = clock_gettime_ns, which: int = CLOCK_BOOTTIME) -> int:
        return read(which) + offset_ns

    return now_ns
