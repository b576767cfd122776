"""Quantities for people."""

from __future__ import annotations

from collections.abc import Callable

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from host.cli.units import duration, show_bytes, show_count, show_duration, show_rate
from host.config.units import UnitError, parse_quantity


@pytest.mark.parametrize(
    ("ns", "text"),
    [
        (0, "0 ns"),
        (999, "999 ns"),
        (12_345, "12.3 us"),
        (1_500_000, "1.50 ms"),
        (59_990_000_000, "60.0 s"),
        (60_000_000_000, "1 min"),
        (302_000_000_000, "5 min 2 s"),
        (11_040_000_000_000, "3 h 4 min"),
        (190_800_000_000_000, "2 d 5 h"),
        (-1_500_000, "-1.50 ms"),
    ],
)
def test_durations_are_short_and_right(ns: int, text: str) -> None:
    """If false, an age or a deadline would be misread."""
    assert show_duration(ns) == text


@pytest.mark.parametrize(
    ("n", "text"), [(0, "0"), (9_999, "9,999"), (10_000, "10.0 k"), (1_234_567, "1.23 M"), (5e9, "5.00 G")]
)
def test_counts(n: float, text: str) -> None:
    """If false, a rate would be off by a factor."""
    assert show_count(n) == text


def test_rates_and_sizes() -> None:
    """If false, idle engines would look busy, or sizes be off by a factor."""
    assert [show_rate(r) for r in (0, 0.01, 0.5, 12, 1e6)] == ["0", "0", "0.5", "12", "1.00 M"]
    assert [show_bytes(n) for n in (0, 1023, 1536, 64 << 20)] == ["0 B", "1023 B", "1.50 KiB", "64.0 MiB"]
    assert show_bytes(3 << 40) == "3.00 TiB"


@pytest.mark.parametrize("text", ["", "5", "x", "-1s", "1 parsec"])
def test_a_duration_without_a_unit_is_not_guessed_at(text: str) -> None:
    """If false, `--timeout 5` would mean five of something."""
    with pytest.raises(click.BadParameter, match="is not a duration such as 500ms"):
        duration(text)


@given(st.from_regex(r"[0-9.]{1,4} ?[a-zµ]{0,3}", fullmatch=True))
def test_an_option_reads_what_a_node_file_reads(text: str) -> None:
    """If false, `--timeout 1.5min` and `window_ns: 1.5min` would be two languages."""
    assert _outcome(duration, text) == _outcome(lambda written: parse_quantity(written, "_ns"), text)


def test_a_unit_that_was_nearly_right_is_suggested() -> None:
    """If false, the command line would keep to itself what the node file says."""
    with pytest.raises(click.BadParameter, match=r"; did you mean `5min`\?$"):
        duration("5m")


def test_durations_of_options() -> None:
    """If false, a deadline would be another than the one typed."""
    assert [duration(d) for d in ("500ms", "1.5s", "2min", 7)] == [500 * 10**6, 15 * 10**8, 120 * 10**9, 7]


def _outcome(read: Callable[[str], int], text: str) -> int | None:
    """Nanoseconds, or None for a text that is refused."""
    try:
        return read(text)
    except (UnitError, click.BadParameter):
        return None
