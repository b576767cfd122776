"""The lane in C beside the one in Python: the same bytes at the same place, the same frames, the same head."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from reference_lane import ReferenceReader, ReferenceWriter, Stream, head_of
from slot_memory import SlotMemory
from transport_worlds import NEEDS_NATIVE, LaneWorld

from transport.port import KIND_GO, KIND_STOP, Frame

LANE_BYTES = 1 << 14
NAMES = [("a", "b", 0), ("läng", "target-of-some-length", 3), ("", "", 7)]
SIZES = st.one_of(st.integers(0, 40), st.integers(0, LANE_BYTES // 8), st.just(LANE_BYTES // 8))


class ReferenceMachine(RuleBasedStateMachine):
    """Slot 1 sends to slot 2. Whatever is sent, flushed, drained, released and restarted."""

    def __init__(self) -> None:
        super().__init__()
        self.world = LaneWorld(LANE_BYTES)
        self.one, self.two = self.world.two()
        self.out = SlotMemory(self.world.slots[1][0], LANE_BYTES)
        self.marks = SlotMemory(self.world.slots[2][1], LANE_BYTES)
        self.writer = ReferenceWriter(LANE_BYTES)
        self.reader = ReferenceReader(self.out, 1, 2)
        self.known: list[tuple[int, Frame]] = []
        self.drained = 0
        self.epoch = 0
        self.sent = 0
        self.open_streams()

    def open_streams(self) -> None:
        self.epoch += 1
        self.streams = [Stream(*names, self.epoch, 1) for names in NAMES]
        self.outlets = [self.one.outlet(2, *names, self.epoch, 1) for names in NAMES]

    @rule(which=st.integers(0, len(NAMES) - 1), size=SIZES, count=st.sampled_from([1, 1, 2, 30, 300]))
    def send(self, which: int, size: int, count: int) -> None:
        for _ in range(count):
            self.sent += 1
            payload = (self.sent.to_bytes(4, "little") * (size // 4 + 1))[:size]
            taken = self.outlets[which].send(payload)
            assert taken == self.writer.send(self.streams[which], payload)
            assert self.outlets[which].next_n == self.streams[which].next_n
            if not taken:
                return

    @rule(kind=st.sampled_from([KIND_STOP, KIND_GO]), name=st.sampled_from(["b", "", "x" * 200]))
    def signal(self, kind: int, name: str) -> None:
        assert self.one.signal(2, kind, name) == self.writer.signal(kind, name)

    @rule()
    def flush(self) -> None:
        self.one.flush()
        self.writer.publish()

    @rule(most=st.integers(1, 20))
    def drain(self, most: int) -> None:
        got = self.two.drain(most)
        assert got == [frame for _, frame in self.known[self.drained : self.drained + len(got)]]
        assert got or self.drained == len(self.known)
        self.drained += len(got)

    @rule()
    def release(self) -> None:
        self.two.release()
        if self.drained:
            # Padding behind the last frame is passed only when what follows is looked for.
            self.writer.head = self.known[self.drained - 1][0]
        del self.known[: self.drained]
        self.drained = 0

    @rule()
    def restart_sender(self) -> None:
        self.one.close()
        self.one = self.world.open(1, 2)
        self.writer.restart()
        self.open_streams()

    @rule()
    def restart_receiver(self) -> None:
        self.two.close()
        self.two = self.world.open(2, 1)
        self.drained = 0

    @invariant()
    def memory_is_as_said(self) -> None:
        assert self.out.tail(2) == self.writer.published
        self.writer.head = self.checked_head()
        for index, data in self.writer.written:
            at = self.out.ring(2) + index
            assert self.out.map[at : at + len(data)] == data
        if self.writer.write == self.writer.published:
            self.writer.written.clear()
        self.known += self.reader.drain()

    def checked_head(self) -> int:
        """The head says what was released, and perhaps padding that was passed."""
        head = head_of(self.marks, 1)
        assert head == self.writer.head or (head % LANE_BYTES == 0 and head > self.writer.head)
        return head

    def teardown(self) -> None:
        self.out.close()
        self.marks.close()
        self.world.close()


TestReferenceLane = NEEDS_NATIVE(ReferenceMachine.TestCase)
ReferenceMachine.TestCase.settings = settings(max_examples=50, stateful_step_count=40, deadline=None)
