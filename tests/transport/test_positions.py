"""What a link says of a lane's two ends: how far it is published, and how far its receiver released it."""

from __future__ import annotations

import pytest
from transport_worlds import Deadline, World, payloads

from transport.port import Closed


def test_a_position_is_released_once_its_frames_are(world: World) -> None:
    """A sender forgets what its receiver has not handled, or keeps for ever what it has."""
    one, two = world.two()
    outlet = one.outlet(2, "a", "b", 0, 1, 1)
    began = one.published(2)
    assert outlet.send(b"x")
    one.flush()
    first = one.published(2)
    assert outlet.send(b"y")
    one.flush()
    second = one.published(2)
    assert began < first < second
    assert one.released(2) < first, "nothing was drained"
    assert payloads(world.receive(two, 2, release=False)) == [b"x", b"y"]
    assert one.released(2) < first, "nothing was released"
    two.release()
    deadline = Deadline("the release")
    while one.released(2) < second:
        deadline.check()
        two.wait(0)
        one.wait(1_000_000)
    assert one.released(2) == one.published(2) == second


def test_positions_of_a_peer_that_is_gone_are_closed(world: World) -> None:
    """A sender waits for ever for a slot that was dissolved."""
    one, _two = world.two()
    one.detach(2)
    for position in (one.published, one.released):
        with pytest.raises(Closed):
            position(2)
