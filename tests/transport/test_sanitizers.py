"""The lanes' core under AddressSanitizer, UndefinedBehaviorSanitizer and ThreadSanitizer; each is shown to be on."""

from __future__ import annotations

import random
import re
from pathlib import Path

import pytest
from native_build import ADDRESS, NEEDS_COMPILER, THREAD, Mistakes, build, run, step_names

pytestmark = NEEDS_COMPILER

MESSAGES = 20_000


@pytest.mark.storm
def test_no_lie_of_a_peer_leads_beyond_a_frame(tmp_path: Path) -> None:
    """If false, some byte, length or word a peer writes would make a reader touch what is not the frame's."""
    done = run(build(tmp_path, "hostile", ADDRESS))
    assert done.returncode == 0, done.stderr
    cases, findings = map(int, re.findall(r"\d+", done.stdout))
    assert cases > 100_000
    assert findings > 10_000


@pytest.mark.storm
@pytest.mark.parametrize("side", ["producer", "consumer"])
def test_a_storm_runs_clean(tmp_path: Path, side: str) -> None:
    """If false, what a death leaves would lead the slot's next process out of bounds."""
    seed = random.randrange(1 << 32)
    done = run(build(tmp_path, "storm", ADDRESS), side, 60, seed, *step_names())
    assert done.returncode == 0, f"storm {side} 60 {seed}: {done.stderr}"


@pytest.mark.storm
def test_two_threads_race_for_nothing(tmp_path: Path) -> None:
    """If false, a byte of a frame or block would be read without an order between its writer and its reader."""
    seed = random.randrange(1 << 32)
    done = run(build(tmp_path, "threads", THREAD), MESSAGES, seed)
    assert done.returncode == 0, f"threads {MESSAGES} {seed}: {done.stderr}"
    frames, rings = map(int, re.findall(r"\d+", done.stdout))
    assert frames > 1000, "the ring was gone around many times"
    assert rings > 100, "both ends slept and were rung"


MISTAKES: dict[str, tuple[str, tuple[str, ...], str, Mistakes]] = {
    "a message's length is believed": (
        "hostile",
        ADDRESS,
        "AddressSanitizer",
        {"frame.h": ("*bytes > left - 4 || ALIGN4(*bytes) > left - 4", "0")},
    ),
    "the count of messages is believed": (
        "hostile",
        ADDRESS,
        "AddressSanitizer",
        {"frame.h": ("FRAME_HEADER_BYTES + view->names_bytes + 4 * h->count > length", "0")},
    ),
    "a frame may be shorter than its header": (
        "hostile",
        ADDRESS,
        "AddressSanitizer",
        {"lane.h": ("*length < FRAME_HEADER_BYTES ||", "*length < FRAME_CHECKED_FROM ||")},
    ),
    "a shift too far": (
        "hostile",
        ADDRESS,
        "runtime error: shift exponent",
        {
            "frame.h": (
                "    if (computed != h->checksum)",
                "    if (computed << (31 + h->checksum_kind) == h->checksum)",
            )
        },
    ),
    "the tail is stored without release": (
        "threads",
        THREAD,
        "ThreadSanitizer: data race",
        {
            "lane.h": (
                "&lane->own->tail, lane->write, memory_order_release",
                "&lane->own->tail, lane->write, memory_order_relaxed",
            )
        },
    ),
    "the tail is loaded without acquire": (
        "threads",
        THREAD,
        "ThreadSanitizer: data race",
        {"lane.h": ("&lane->far->tail, memory_order_acquire", "&lane->far->tail, memory_order_relaxed")},
    ),
    "the head is stored without release": (
        "threads",
        THREAD,
        "ThreadSanitizer: data race",
        {
            "lane.h": (
                "&lane->mark->head, lane->read, memory_order_release",
                "&lane->mark->head, lane->read, memory_order_relaxed",
            )
        },
    ),
    "the head is loaded without acquire": (
        "threads",
        THREAD,
        "ThreadSanitizer: data race",
        {"lane.h": ("&lane->far_mark->head, memory_order_acquire", "&lane->far_mark->head, memory_order_relaxed")},
    ),
}


@pytest.mark.storm
@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_sanitizer_finds_a_planted_mistake(tmp_path: Path, mistake: str) -> None:
    """If false, the sanitizer would not be on, or the test would not come by the place."""
    source, flags, finding, mistakes = MISTAKES[mistake]
    done = run(build(tmp_path, source, flags, mistakes), *((MESSAGES, 1) if source == "threads" else ()))
    assert done.returncode != 0
    assert finding in done.stderr
