"""Engine time and chance as the live host gives them."""

from __future__ import annotations

import time
from collections import Counter
from secrets import randbelow

from host.live.clock import engine_clock, offset_from, offset_now

CHI_SQUARE_MAX = 20.52
"""Five degrees of freedom: exceeded by chance once in a thousand runs."""


def test_engine_time_is_wall_time_at_the_start_and_never_goes_back() -> None:
    """False if engines were given another time, or a time before one they saw."""
    clock = engine_clock(offset_now())
    assert abs(clock() - time.time_ns()) < 1_000_000_000
    times = [clock() for _ in range(10_000)]
    assert times == sorted(times)


def test_processes_that_share_an_offset_share_the_time() -> None:
    """False if two workers of a node disagreed about the time."""
    offset = offset_now()
    one, other = engine_clock(offset), engine_clock(offset)
    assert one() <= other() <= one()


def test_a_clock_does_not_begin_before_what_was_recorded() -> None:
    """False if a wall clock that was set back took engines with it."""
    later = time.time_ns() + 3_600_000_000_000
    assert engine_clock(offset_from(offset_now(), later))() >= later


def test_rolls_are_uniform() -> None:
    """False if a side were favoured; a hundred thousand rolls of a die, chi-square (fails once in a thousand runs)."""
    found = Counter(randbelow(6) for _ in range(100_000))
    assert set(found) == set(range(6))
    expected = 100_000 / 6
    chi_square = sum((count - expected) ** 2 / expected for count in found.values())
    assert chi_square < CHI_SQUARE_MAX, found
