"""Storms of SIGKILL over real lanes, at random instants and at every crash point of the core; see `native/storm.c`."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from native_build import NEEDS_COMPILER, Mistakes, build, run, step_names

pytestmark = NEEDS_COMPILER

SIDES = ("producer", "consumer")


@pytest.fixture(scope="module")
def storm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("storm"), "storm")


def deaths_at_steps(storm: Path, side: str, kills: int, steps: list[str]) -> dict[str, int]:
    """Run a storm; it fails by itself on a message that is wrong, lost, repeated, or stuck."""
    seed = random.randrange(1 << 32)
    done = run(storm, side, kills, seed, *steps)
    assert done.returncode == 0, f"storm {side} {kills} {seed} {' '.join(steps)}: {done.stderr}"
    return {name: int(deaths) for name, deaths in (line.split() for line in done.stdout.splitlines())}


def all_steps_of(storm: Path, kills: int) -> dict[str, int]:
    """Both storms, and one of its own for each step they did not come by."""
    steps = step_names()
    total = dict.fromkeys(steps, 0)
    for side in SIDES:
        for name, deaths in deaths_at_steps(storm, side, kills, steps).items():
            total[name] += deaths
    for name in [name for name, deaths in total.items() if deaths == 0]:
        total[name] = sum(deaths_at_steps(storm, side, 20, [name])[name] for side in SIDES)
    return total


@pytest.mark.storm
def test_deaths_at_every_step_lose_nothing(storm: Path) -> None:
    """If false, a death somewhere would leave a wrong, lost, repeated or stuck message to the slot's next process."""
    total = all_steps_of(storm, 200)
    assert [name for name, deaths in total.items() if deaths == 0] == []


@pytest.mark.long
def test_ten_thousand_deaths_lose_nothing(storm: Path) -> None:
    """If false, the same, at an instant that is rarely met."""
    total = all_steps_of(storm, 10_000)
    assert min(total.values()) >= 10, total


MISTAKES: dict[str, tuple[str, Mistakes]] = {
    "the tail is moved before the frame is complete": (
        "producer",
        {"lane.h": ("    LANE_STEP(frame_open);\n", "    lane->own->tail = lane->write + 8; LANE_STEP(frame_open);\n")},
    ),
    "a block nobody saw stays lent": (
        "producer",
        {"arena.h": ("            out &= ~block_bit(block), lent ^= block_bit(block);\n", "            continue;\n")},
    ),
    "the head moves before a frame is handled": (
        "consumer",
        {
            "core.h": (
                "    LANE_STEP(frame_copied);\n",
                "    LANE_STEP(frame_copied); lane->mark->head = lane->read + ALIGN8(length);\n",
            )
        },
    ),
    "the head does not move": (
        "consumer",
        {
            "lane.h": (
                "(&lane->mark->head, lane->read, memory_order_release);\n    LANE_STEP(head_stored);",
                "(&lane->mark->head, lane->mark->head, memory_order_release);\n    LANE_STEP(head_stored);",
            )
        },
    ),
    "a block that was read is not returned": (
        "consumer",
        {
            "arena.h": (
                "            reach->ripe |= left & -left;\n    }\n    reach_return",
                "            continue;\n    }\n    reach_return",
            )
        },
    ),
    "nobody is rung": ("consumer", {"lane.h": ("(armed & 1) == 0 ||", "(armed & 1) <= 1 ||")}),
}


@pytest.mark.storm
@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_storm_finds_a_planted_mistake(tmp_path: Path, mistake: str) -> None:
    """If false, the storms above would prove nothing."""
    side, mistakes = MISTAKES[mistake]
    program = build(tmp_path, "storm", ("-DSTALL_NS=NS_PER_S",), mistakes)
    done = run(program, side, 400, 7, *step_names())
    assert done.returncode == 3, done.stderr
    assert "FAILED: " in done.stderr
