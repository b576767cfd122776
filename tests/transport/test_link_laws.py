"""A law for lanes and their twin: whatever is sent, flushed, drained, released and restarted, in any order.

The receiver sees each published message once in a life of its process, in order, and again in the next life until it
was released.
"""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from transport_worlds import NEEDS_NATIVE, LaneWorld, LocalWorld, World, number, payloads

LANE_BYTES = 1 << 14


class LaneMachine(RuleBasedStateMachine):
    """Two slots; the model is three lists of payloads: not published, published, and how many of those were drained."""

    world_type: type[World]

    def __init__(self) -> None:
        super().__init__()
        self.world = self.world_type(LANE_BYTES)
        self.one, self.two = self.world.two()
        self.streams = [self.one.outlet(2, f"s{i}", "t", i, 1, 1) for i in range(2)]
        self.unpublished: list[bytes] = []
        self.published: list[bytes] = []
        self.drained = 0
        self.sent = 0

    @rule(stream=st.integers(0, 1), size=st.integers(0, LANE_BYTES // 4))
    def send(self, stream: int, size: int) -> None:
        payload = number(self.sent, size)[: max(size, 8)]
        if self.streams[stream].send(payload):
            self.unpublished.append(payload)
            self.sent += 1
        else:
            assert self.published or self.unpublished, "an empty lane takes a message of any size"
            self.publish()

    @rule()
    def flush(self) -> None:
        self.one.flush()
        self.publish()

    def publish(self) -> None:
        """What the model knows to be seen now; soft limits may have published some of it before."""
        self.published += self.unpublished
        self.unpublished = []

    @rule(most=st.integers(1, 20))
    def drain(self, most: int) -> None:
        got = payloads(self.two.drain(most))
        known = self.published + self.unpublished
        assert got == known[self.drained : self.drained + len(got)]
        self.drained += len(got)
        early = self.drained - len(self.published)
        if early > 0:
            self.published += self.unpublished[:early]
            del self.unpublished[:early]
        assert got or self.drained >= len(self.published)

    @rule()
    def release(self) -> None:
        self.two.release()
        del self.published[: self.drained]
        self.drained = 0

    @rule()
    def replace_receiver(self) -> None:
        self.two.close()
        self.two = self.world.open(2, 1)
        self.drained = 0

    @precondition(lambda self: not self.unpublished)
    @rule()
    def replace_sender(self) -> None:
        self.one.close()
        self.one = self.world.open(1, 2)
        self.streams = [self.one.outlet(2, f"s{i}", "t", i, 1, 1) for i in range(2)]

    @invariant()
    def room_returns(self) -> None:
        if not self.published and not self.unpublished:
            assert self.one.has_room(2)

    def teardown(self) -> None:
        self.world.close()


class LaneCase(LaneMachine):
    world_type = LaneWorld


class LocalCase(LaneMachine):
    world_type = LocalWorld


SETTINGS = settings(max_examples=30, stateful_step_count=60, deadline=None)
LaneCase.TestCase.settings = SETTINGS
LocalCase.TestCase.settings = SETTINGS
TestLocal = LocalCase.TestCase
TestLane = NEEDS_NATIVE(LaneCase.TestCase)
