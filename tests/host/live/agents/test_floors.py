"""Floors: a hundred agents at once, by way of the bus, and what measuring them costs.

The short forms have a slow pace and look at what is done, the long ones at how fast; these want a quiet machine.
"""

from __future__ import annotations

import pytest

from bench.crowd import Pace
from bench.peers.agents import crowd, town
from bench.spread import quantile
from bench.suites.agents import AGENTS, PACE

SECOND_NS = 10**9


def test_r10_a_crowd_of_agents_gets_what_it_asks_for() -> None:
    """False if a request of a hundred agents at once were refused, or a message lost."""
    pace = Pace(messages=0.5, transitions=0.25, reads=1.0, lasts_ns=4 * SECOND_NS)
    with town(AGENTS) as place:
        made = crowd(place, pace)
    assert made.handled >= AGENTS
    assert made.detail["transitions_per_s"] > 0


@pytest.mark.long
def test_b6_a_thousand_messages_and_five_hundred_transitions_a_second() -> None:
    """False if a hundred agents, all at once for five minutes, are below a floor."""
    pace = Pace(PACE.messages, PACE.transitions, PACE.reads, 300 * SECOND_NS)
    with town(AGENTS) as place:
        made = crowd(place, pace)
    assert made.value >= 1_000
    assert made.detail["transitions_per_s"] >= 500
    assert made.detail["transition_p50_ms"] < 500
    assert quantile(sorted(made.taken_ns), 0.95) < SECOND_NS


@pytest.mark.long
def test_m5_measuring_takes_two_hundredths_of_a_core() -> None:
    """False if measurement takes more than 2 % of a core while a hundred agents make a call a second each."""
    pace = Pace(messages=0.4, transitions=0.4, reads=0.1, lasts_ns=60 * SECOND_NS)
    with town(AGENTS) as place:
        made = crowd(place, pace)
    used_ms = made.detail["cpu_ms_per_1000_measurement"] * made.detail["sent_per_s"] / 1e3
    assert used_ms <= 20, f"{used_ms:.1f} ms a second"
