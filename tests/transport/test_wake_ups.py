"""News at every step of the native `wait`: mail, room or a block that comes just then ends it, whoever saw it first."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from native_build import NEEDS_COMPILER, build_extension
from transport_worlds import NEEDS_NATIVE, LaneWorld, number

from transport.port import Payload

pytestmark = [NEEDS_COMPILER, NEEDS_NATIVE]

LANE_BYTES = 1 << 14
LARGE_BYTES = 5000
PATIENCE_NS = 3_000_000_000
"""Far more than a wait takes to see what is there."""
NEWS = ["mail", "room", "block"]


class SteppedWorld(LaneWorld):
    """Slots whose links call `sys.lane_step`."""

    def __init__(self, lane: ModuleType) -> None:
        super().__init__(LANE_BYTES)
        self.lane = lane

    def make(self, slot: int, wait: str) -> Any:
        return self.lane.LaneLink(slot, *self.descriptors(slot), wait)


@pytest.fixture(scope="module")
def lane(tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    return build_extension(tmp_path_factory.mktemp("stepped"))


@pytest.fixture(autouse=True)
def no_step_left() -> Iterator[None]:
    yield
    sys.__dict__.pop("lane_step", None)


def fill(link: Any, size: int) -> None:
    """Send to slot 2 until it is refused."""
    outlet = link.outlet(2, "a", "b", 0, 1, 0)
    while outlet.send(number(outlet.next_n, size)):
        pass


def prepare(world: LaneWorld, wait: str, news: str) -> tuple[Any, Callable[[], object]]:
    """A link with nothing to do, and what brings it news."""
    sleeper, peer = world.open(1, 2, wait=wait), world.open(2, 1)
    held: list[Payload] = []
    if news == "mail":
        outlet = peer.outlet(1, "b", "a", 0, 1, 0)
        return sleeper, lambda: (outlet.send(b"mail"), peer.flush())
    fill(sleeper, LARGE_BYTES if news == "block" else 100)
    if news == "block":
        held += [payload for frame in peer.drain(1 << 10) for payload in frame.payloads]
        peer.release()
        return sleeper, held.clear
    return sleeper, lambda: (peer.drain(1 << 20), peer.release())


def steps_of_a_wait(world: LaneWorld, wait: str, news: str) -> list[str]:
    """The steps it comes by when there is none."""
    sleeper, _ = prepare(world, wait, news)
    steps: list[str] = []
    sys.__dict__["lane_step"] = steps.append
    sleeper.wait(1_000_000)
    del sys.__dict__["lane_step"]
    return steps


def ends_with_news(world: LaneWorld, wait: str, news: str, at: int, patience_ns: int) -> bool:
    """Whether a wait, to which news comes at its step `at`, ends before its time-out."""
    sleeper, bring = prepare(world, wait, news)
    left = at

    def step(name: str) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            del sys.__dict__["lane_step"]
            bring()

    sys.__dict__["lane_step"] = step
    begun = time.monotonic_ns()
    sleeper.wait(patience_ns)
    took_ns = time.monotonic_ns() - begun
    assert "lane_step" not in sys.__dict__, "the news came"
    assert bool(sleeper.drain(1)) if news == "mail" else sleeper.has_room(2)
    return took_ns < patience_ns


def missed_at(lane: ModuleType, wait: str, news: str, patience_ns: int = PATIENCE_NS) -> list[str]:
    """The steps at which news does not end a wait."""

    def world() -> SteppedWorld:
        worlds.append(SteppedWorld(lane))
        return worlds[-1]

    worlds: list[SteppedWorld] = []
    steps = steps_of_a_wait(world(), wait, news)
    assert {"armed", "disarmed"} <= set(steps)
    assert steps[-1] == "disarmed", "it comes after the sleep"
    missed = [name for at, name in enumerate(steps[:-1]) if not ends_with_news(world(), wait, news, at, patience_ns)]
    for made in worlds:
        made.close()
    return missed


@pytest.mark.storm
@pytest.mark.parametrize("wait", ["adaptive", "block"])
@pytest.mark.parametrize("news", NEWS)
def test_news_at_any_step_ends_a_wait(lane: ModuleType, wait: str, news: str) -> None:
    """If false, a sender would now and then sleep on room, or a receiver on mail, until something else wakes it."""
    assert missed_at(lane, wait, news) == []


@pytest.mark.storm
@pytest.mark.parametrize("news", ["room", "block"])
def test_what_is_said_once_and_not_heard_is_noticed(tmp_path: Path, news: str) -> None:
    """If false, the test above would pass over a `wait` that asks a second time."""
    deaf = build_extension(tmp_path, {"_lane.c": ("count < 0 || news ||", "count < 0 ||")})
    assert missed_at(deaf, "block", news, 200_000_000) == ["armed"]
