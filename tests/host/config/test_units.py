"""Quantities: exact, total, and refused with a hint."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from host.config.units import DURATIONS, SIZES, VALUE_MAX, UnitError, parse_quantity, unit_suffix

UNITS = {"_ns": DURATIONS, "_bytes": SIZES}
quantities = st.sampled_from([(suffix, unit) for suffix, units in UNITS.items() for unit in units])


@given(quantities, st.integers(0, 1000))
def test_whole_numbers_scale(quantity: tuple[str, str], number: int) -> None:
    """A whole number of a unit is that many times the unit, with or without a blank."""
    suffix, unit = quantity
    expected = number * UNITS[suffix][unit]
    assert parse_quantity(f"{number}{unit}", suffix) == expected
    assert parse_quantity(f"{number} {unit}", suffix) == expected


@given(quantities, st.decimals(0, 10_000, places=6))
def test_fractions_are_exact_or_refused(quantity: tuple[str, str], number: Decimal) -> None:
    """A fraction is its exact value, or refused when that is not whole; never rounded."""
    suffix, unit = quantity
    exact = number * UNITS[suffix][unit]
    text = f"{number:f}{unit}"
    if exact == exact.to_integral_value():
        assert parse_quantity(text, suffix) == int(exact)
    else:
        with pytest.raises(UnitError, match="whole number"):
            parse_quantity(text, suffix)


@given(st.text(max_size=40), st.sampled_from(sorted(UNITS)))
def test_any_text_is_a_quantity_or_a_unit_error(text: str, suffix: str) -> None:
    """No text makes anything else than a number in range or `UnitError`."""
    try:
        value = parse_quantity(text, suffix)
    except UnitError as error:
        assert str(error)  # noqa: PT017
    else:
        assert 0 <= value <= VALUE_MAX


@given(quantities, st.integers(0, 10**30))
def test_too_large_is_refused(quantity: tuple[str, str], number: int) -> None:
    """Beyond 63 bits there is an error, not a wrapped or unbounded number."""
    suffix, unit = quantity
    exact = number * UNITS[suffix][unit]
    if exact <= VALUE_MAX:
        assert parse_quantity(f"{number}{unit}", suffix) == exact
    else:
        with pytest.raises(UnitError):
            parse_quantity(f"{number}{unit}", suffix)


@pytest.mark.parametrize(
    ("text", "suffix", "value"),
    [
        ("500ms", "_ns", 500_000_000),
        ("1s", "_ns", 1_000_000_000),
        ("1.5min", "_ns", 90_000_000_000),
        ("2h", "_ns", 7_200_000_000_000),
        ("1d", "_ns", 86_400_000_000_000),
        ("3µs", "_ns", 3_000),
        ("0.5us", "_ns", 500),
        ("64KiB", "_bytes", 65_536),
        ("10MB", "_bytes", 10_000_000),
        ("1.5 GiB", "_bytes", 1_610_612_736),
        ("0B", "_bytes", 0),
    ],
)
def test_examples(text: str, suffix: str, value: int) -> None:
    """What the guides print."""
    assert parse_quantity(text, suffix) == value


@pytest.mark.parametrize(
    ("text", "suffix", "suggestion"),
    [
        ("5", "_ns", "did you mean `5ns`?"),
        ("5", "_bytes", "did you mean `5B`?"),
        ("5m", "_ns", "did you mean `5min`?"),
        ("5 seconds", "_ns", "did you mean `5 s`?"),
        ("1.5mins", "_ns", "did you mean `1.5min`?"),
        ("64Kib", "_bytes", "did you mean `64KiB`?"),
        ("64k", "_bytes", "did you mean `64KiB`?"),
        ("1mb", "_bytes", "did you mean `1MB`?"),
        ("5MB", "_ns", ""),
        ("-1s", "_ns", ""),
        ("1e3s", "_ns", ""),
        ("0x10", "_ns", ""),
        ("", "_ns", ""),
        ("soon", "_ns", ""),
        ("1h30min", "_ns", ""),
        ("٣s", "_ns", ""),
    ],
)
def test_refusals(text: str, suffix: str, suggestion: str) -> None:
    """Each is refused, with the spelling that was probably meant."""
    with pytest.raises(UnitError) as caught:
        parse_quantity(text, suffix)
    assert caught.value.suggestion == suggestion


def test_suffix() -> None:
    """Only the end of a name says that it takes a unit."""
    assert [unit_suffix(name) for name in ("window_ns", "lane_bytes", "ns", "bytes", "ns_window")] == [
        "_ns", "_bytes", "", "", "",
    ]  # fmt: skip
