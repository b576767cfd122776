"""Every suite, at a size of next to nothing: all who can run here do, and what they handled is what was asked for."""

from __future__ import annotations

import time
from contextlib import suppress

import psutil
import pytest
from deadline import DEADLINE_S

from bench.rounds import Contestant, Round, Suite, Unavailable
from bench.suites import NAMES, load_suite
from bench.suites.agents import AGENTS, MESSAGES, PACE
from bench.suites.durable import LASTING

SIZE = 240
"""Divides by eight sources and three places; a batch is 64."""
HANDLED = {
    "batch": 192,
    "large": 16 << 20,
    "mixed": 192,
    "startup": 3,
    "spawn-process": 5,
    "recover": 5,
    "replay": 192,
    "reload": 1,
}
HANDLED |= {"durable": SIZE * LASTING, "check": 288}
OFFERED = {"bus": int(PACE.messages * AGENTS * PACE.lasts_ns / 1e9 * SIZE / MESSAGES)}
"""A peer at a pace handles what comes within its time."""
SIZES = {"startup": 3, "reload": 1, "spawn-process": 5, "check": 3}


def made(name: str) -> list[Contestant]:
    return load_suite(name).contestants(SIZES.get(name, SIZE))


CONTESTANTS = [(name, index) for name in NAMES for index, _ in enumerate(made(name))]


@pytest.mark.storm
@pytest.mark.parametrize(("name", "index"), CONTESTANTS, ids=str)
def test_a_round_handles_what_it_was_asked_to(name: str, index: int) -> None:
    """If false, a rate is of fewer messages than it says, or a round leaves its node behind."""
    contestant = made(name)[index]
    try:
        taken = contestant.run()
        again = contestant.run()
    except Unavailable as reason:
        pytest.skip(f"{contestant.peer}: {reason}")
    finally:
        contestant.close()
    for each in (taken, again):
        assert each.value > 0 or name == "density", "memory may come from what the process has already"
        assert_handled(name, contestant.peer, each)
    assert psutil.Process().children(recursive=True) == []


def assert_handled(name: str, peer: str, taken: Round) -> None:
    """Ours does all of it; a slower peer does a share, and never nothing."""
    whole = HANDLED.get(name, SIZE)
    if peer == "enginehost":
        assert taken.handled == whole
    else:
        assert 0 < taken.handled <= OFFERED.get(peer, whole)
    assert len(taken.taken_ns) in (0, taken.handled) or name in ("mixed", "tx")


def test_every_suite_is_one_of_a_kind_and_says_what_it_is() -> None:
    """If false, a suite cannot be asked for, or a report has no title for it."""
    suites: list[Suite] = [load_suite(name) for name in NAMES]
    assert [suite.name for suite in suites] == list(NAMES)
    assert all(suite.title and suite.unit and suite.size >= suite.least for suite in suites)
    for suite in suites:
        peers = [contestant.peer for contestant in suite.contestants(suite.size)]
        assert len(set(peers)) == len(peers)
        assert "enginehost" in peers


@pytest.mark.storm
@pytest.mark.parametrize("name", NAMES)
def test_a_node_rests_between_its_rounds(name: str) -> None:
    """If false, the rounds of a suite's other peers are slower for a node that still works, or polls."""
    contestant = next((one for one in made(name) if one.peer == "enginehost"), None)
    if contestant is None:
        pytest.skip("all peers are others")
    try:
        contestant.run()
        deadline = time.monotonic() + DEADLINE_S
        while busy := awake():
            assert time.monotonic() < deadline, busy
    finally:
        contestant.close()


def awake() -> dict[str, int]:
    """How often each child woke up in half a second, of those that do not rest."""
    before = wakes()
    time.sleep(0.5)
    return {one: count - before.get(one, 0) for one, count in wakes().items() if count - before.get(one, 0) > 20}


def wakes() -> dict[str, int]:
    """How often each child has woken up; some end meanwhile, such as one that writes a snapshot."""
    found: dict[str, int] = {}
    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            found[f"{child.name()} {child.pid}"] = child.num_ctx_switches().voluntary
    return found
