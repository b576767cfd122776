"""Storms of SIGKILL over links as Python sees them, ZeroMQ's above all: at random instants and at random lines."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from link_storm import ConsumerStorm, ProducerStorm, Storm
from transport_worlds import World, ZmqWorld

import transport.keep
import transport.keep_arena
import transport.keep_memory
import transport.kept_lane
import transport.sending
import transport.zmq_link
import transport.zmq_peer
import transport.zmq_stream
from transport.keep import Keep
from transport.kept_lane import KeptFrame, KeptLane
from transport.port import Broken
from transport.sending import Sealed
from transport.zmq_stream import IncomingStream, OutgoingStream

FILES = tuple(
    str(module.__file__)
    for module in (
        transport.keep,
        transport.keep_arena,
        transport.keep_memory,
        transport.kept_lane,
        transport.sending,
        transport.zmq_link,
        transport.zmq_peer,
        transport.zmq_stream,
    )
)
KINDS = [ProducerStorm, ConsumerStorm]


def storm(world: World, kind: type[Storm], kills: int, *, everywhere: bool = False) -> Storm:
    seed = random.randrange(1 << 32)
    print(f"{kind.__name__}(world, {seed}, FILES).run({kills})")
    blowing = kind(world, seed, FILES if isinstance(world, ZmqWorld) else ())
    blowing.run(kills, everywhere=everywhere)
    return blowing


@pytest.mark.storm
@pytest.mark.parametrize("kind", KINDS)
def test_deaths_of_one_side_lose_nothing(far_world: World, kind: type[Storm]) -> None:
    """If false, a death somewhere would leave a wrong, lost, repeated or stuck message to the slot's next process."""
    kills = 200 if isinstance(far_world, ZmqWorld) else 50
    blown = storm(far_world, kind, kills)
    assert len(blown.deaths) > kills / 5 or not blown.steps, "deaths at many lines"


@pytest.mark.long
@pytest.mark.parametrize("kind", KINDS)
def test_thousands_of_deaths_lose_nothing(far_world: World, kind: type[Storm]) -> None:
    """If false, the same, at an instant that is rarely met."""
    blown = storm(far_world, kind, 10_000, everywhere=True)
    assert [step for step in blown.steps if blown.deaths[step] == 0] == []


def tail_first(out: OutgoingStream, frames: list[Sealed]) -> list[tuple[KeptFrame, bytes]]:
    """`publish` that counts before it has written."""
    out.lane.move_tail(out.tail + sum(sealed.size for sealed in frames))
    return PUBLISH(out, frames)


def released_when_received(incoming: IncomingStream, life: int, position: int, end: int) -> bool:
    """`take` that marks what nobody has handled yet."""
    taken = TAKE(incoming, life, position, end)
    if taken:
        incoming._mark.move(end)
    return taken


def not_marked(incoming: IncomingStream) -> bool:
    """`release` that is forgotten with its process."""
    is_news = incoming.drained > incoming.released
    incoming.released = incoming.drained
    return is_news


def taken_over_empty(keep: Keep, peer: int, identity: int) -> KeptLane:
    """`lane` that throws away what the last process left."""
    lane = LANE(keep, peer, identity)
    lane.move_head(lane.tail())
    return lane


PUBLISH, TAKE, LANE = OutgoingStream.publish, IncomingStream.take, Keep.lane
MISTAKES: list[tuple[type[Storm], type, str, Callable[..., object]]] = [
    (ProducerStorm, OutgoingStream, "publish", tail_first),
    (ProducerStorm, Keep, "lane", taken_over_empty),
    (ConsumerStorm, IncomingStream, "take", released_when_received),
    (ConsumerStorm, IncomingStream, "release", not_marked),
]


@pytest.mark.storm
@pytest.mark.parametrize(
    ("kind", "where", "name", "mistake"), MISTAKES, ids=lambda part: getattr(part, "__name__", part)
)
def test_a_storm_finds_a_planted_mistake(
    monkeypatch: pytest.MonkeyPatch, kind: type[Storm], where: type, name: str, mistake: Callable[..., object]
) -> None:
    """If false, the storms above would prove nothing."""
    monkeypatch.setattr(where, name, mistake)
    world = ZmqWorld()
    blowing = kind(world, 7, FILES)
    with pytest.raises((AssertionError, Broken)):
        blowing.run(600)
    world.close()
