"""Engine time: nanoseconds since the epoch, the same in every process of a node, never back.

The wall clock is read once, when the node starts; from then on time is that plus what CLOCK_BOOTTIME has counted since,
so a correction of the wall clock or a suspended machine moves no timer wrongly. What all processes share is the
difference between the two clocks, one number; CLOCK_BOOTTIME itself is the machine's.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from time import CLOCK_BOOTTIME, clock_gettime_ns
from typing import Final

POLL_MS_MAX: Final = 2**31 - 1
"""What `poll` takes; a longer wait, from 25 days on, is several."""


def left_ms(until_ns: int) -> int:
    """Milliseconds until then on the monotonic clock, for `poll`: rounded up, and at most what it takes."""
    return min(POLL_MS_MAX, max(0, -(-(until_ns - time.monotonic_ns()) // 1_000_000)))


def offset_now() -> int:
    """What to add to CLOCK_BOOTTIME to get engine time; a supervisor takes it once."""
    return time.time_ns() - clock_gettime_ns(CLOCK_BOOTTIME)


def offset_from(offset_ns: int, not_before_ns: int) -> int:
    """The offset of a clock that starts at `not_before_ns` or later."""
    return max(offset_ns, not_before_ns - clock_gettime_ns(CLOCK_BOOTTIME))


def engine_clock(offset_ns: int, not_before_ns: int = 0) -> Callable[[], int]:
    """A clock that never goes back: CLOCK_BOOTTIME does not, and it starts at `not_before_ns` or later."""
    offset = offset_from(offset_ns, not_before_ns)

    def now_ns(read: Callable[[int], int] = clock_gettime_ns, which: int = CLOCK_BOOTTIME, offset: int = offset) -> int:
        return read(which) + offset

    return now_ns
