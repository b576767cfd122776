"""Rates that `ps` shows, from counters that are read now and then."""

from __future__ import annotations

from host.live.supervisor.serving.rates import RATE_NS_MIN, Rates

SECOND_NS = 1_000_000_000
BORN_NS = 5 * SECOND_NS


def test_the_first_look_sees_the_mean_since_the_process_got_ready() -> None:
    """False if the first `ps` of a busy node showed engines at rest."""
    rates = Rates()
    rates.begin("a", BORN_NS)
    sample = rates.at("a", BORN_NS + 2 * SECOND_NS, 400, 40)
    assert (sample.in_rate, sample.out_rate) == (200.0, 20.0)


def test_later_looks_see_what_happened_since_the_one_before() -> None:
    """False if a rate were that of another time."""
    rates = Rates()
    rates.begin("a", BORN_NS)
    rates.at("a", BORN_NS + SECOND_NS, 400, 0)
    assert rates.at("a", BORN_NS + 3 * SECOND_NS, 500, 0).in_rate == 50.0
    assert rates.at("a", BORN_NS + 3 * SECOND_NS + RATE_NS_MIN - 1, 900, 0).in_rate == 50.0


def test_a_new_process_counts_from_zero() -> None:
    """False if a restart showed as a rate below zero, or the old process's messages as the new one's."""
    rates = Rates()
    rates.at("a", BORN_NS, 1_000, 0)
    rates.begin("a", BORN_NS + SECOND_NS)
    assert rates.at("a", BORN_NS + 2 * SECOND_NS, 1_500, 0).in_rate == 1_500.0
