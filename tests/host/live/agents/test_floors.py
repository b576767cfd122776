"""Floors: a hundred agents at once, by way of the bus, and what measuring them costs.

The long forms look at the clock, and want a quiet machine. The short ones look at what is done, and at what it takes:
processor time, and shares of times of the same run, which hold beside other work.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from bench.crowd import Pace
from bench.peers.agents import Town, crowd, town
from bench.rounds import Round
from bench.spread import quantile
from bench.suites.agents import AGENTS, PACE

SECOND_NS = 10**9


@pytest.fixture(scope="module")
def place() -> Iterator[Town]:
    """A town for crowds that do not mind what those before them left unread."""
    with town(AGENTS) as made:
        yield made


def test_r10_a_crowd_of_agents_gets_what_it_asks_for(place: Town) -> None:
    """False if a request of a hundred agents at once were refused, or their messages did not arrive."""
    pace = Pace(messages=0.5, transitions=0.25, reads=1.0, lasts_ns=4 * SECOND_NS)
    made = crowd(place, pace)
    assert made.handled >= AGENTS
    assert made.detail["transitions_per_s"] > 0


def test_b6_two_cores_can_do_the_floors() -> None:
    """False if a thousand messages and five hundred transitions take more than a second of two cores, with the agents'
    own work; if one process takes more than a core for them; or if a message waits for more than the next read."""
    pace = Pace(PACE.messages, PACE.transitions, PACE.reads, 3 * SECOND_NS)
    with town(AGENTS) as place:
        made = crowd(place, pace)
    transitions = made.detail["transitions_per_s"] / made.detail["sent_per_s"]
    assert transitions >= 0.9 * pace.transitions / pace.messages
    used_ms = used_by_process(made)
    assert sum(used_ms.values()) <= 2 * 1_000, used_ms
    del used_ms["agents"]  # processes, not one
    assert max(used_ms.values()) <= 1_000, used_ms
    late_ms = made.detail["transition_p99_ms"]  # of a request, counted from when it was due
    delivered_ms = quantile(sorted(made.taken_ns), 0.95) / 1e6
    assert delivered_ms <= 1e3 / pace.reads + 4 * late_ms, (delivered_ms, late_ms)


def test_m5_measuring_takes_a_twelfth_of_what_the_node_takes(place: Town) -> None:
    """False if measurement takes more than a twelfth of the processor time of all engines and the store while a hundred
    agents make a call a second each. Those take a quarter of a core then, on two quiet ones, so that this is 2 % of it.
    """
    made = crowd(place, Pace(messages=0.4, transitions=0.4, reads=0.2, lasts_ns=5 * SECOND_NS))
    used_ms = used_by_process(made)
    del used_ms["agents"]
    assert used_ms["measurement"] <= sum(used_ms.values()) / 12, used_ms


def used_by_process(made: Round) -> dict[str, float]:
    """Processor time for each thousand messages, in milliseconds."""
    head = "cpu_ms_per_1000_"
    return {name.removeprefix(head): ms for name, ms in made.detail.items() if name.startswith(head)}


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
    pace = Pace(messages=0.4, transitions=0.4, reads=0.2, lasts_ns=60 * SECOND_NS)
    with town(AGENTS) as place:
        made = crowd(place, pace)
    used_ms = made.detail["cpu_ms_per_1000_measurement"] * made.detail["sent_per_s"] / 1e3
    assert used_ms <= 20, f"{used_ms:.1f} ms a second"
