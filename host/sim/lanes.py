"""Lanes between slots: what is published and not released, how long it takes, and what a network does to it.

A lane is the memory of two slots, so it outlives their processes. Its sending end is that of ZeroMQ and of the twin
(`transport.sending`: open frames, capacity, refusals); here it gains time. A frame is published at one moment and can
be drained at a later one, in order for each pair of slots. A slot that is cut off by a partition gets nothing until
that ends: the link's protocol would repeat it.

With loss, duplication or reordering, messages pass a network between the two ends. It takes each message once (by its
epoch and number, as a receiver does: `host.node.journal.marks`), so a repeat by a recovered sender goes nowhere. What
it delivers, it numbers anew, in order of arrival; so the receiving end sees a stream without gaps, and a loss is a loss
for the engines. Room in the lane is given back when the network has taken a frame.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from heapq import heappop, heappush
from random import Random
from typing import Final

from host.node.journal.marks import take
from host.sim.agenda import Agenda, Chance
from host.sim.faults import REORDER_NS, FaultRate, Faults
from transport.port import KIND_GO, KIND_MESSAGES, KIND_STOP, LANE_BYTES, MESSAGE_BYTES_MAX, Broken, Closed, Frame
from transport.sending import PythonOutlet, Sealed, SendingLane

NETWORK_EPOCH: Final = 1
"""The network never loses its numbers."""


class Lane:
    """From slot `source` to slot `target`; positions count frames."""

    __slots__ = (
        "drained",
        "draw",
        "frames",
        "label",
        "last_ns",
        "marks",
        "numbers",
        "published",
        "released",
        "source",
        "target",
        "under_way",
    )

    def __init__(self, source: int, target: int, label: str, draw: Random) -> None:
        self.source = source
        self.target = target
        self.label = label
        self.draw = draw
        self.frames: deque[tuple[int, Sealed]] = deque()
        self.drained = 0
        self.published = 0
        self.released = 0
        self.last_ns = 0
        self.under_way: list[tuple[int, int, Frame]] = []
        self.marks: dict[tuple[str, str, int], tuple[int, int]] = {}
        self.numbers: dict[tuple[str, str, int], int] = {}

    def arrives_ns(self) -> int | None:
        """When the next frame can be drained."""
        if self.drained < len(self.frames):
            at_ns = self.frames[self.drained][0]
            return min(at_ns, self.under_way[0][0]) if self.under_way else at_ns
        return self.under_way[0][0] if self.under_way else None


class Lanes:
    """All lanes of a world. `ring` is called with a slot and the time at which it has mail, or room."""

    def __init__(
        self, agenda: Agenda, chance: Chance, faults: Faults, label: Callable[[int], str], lane_bytes: int = LANE_BYTES
    ) -> None:
        self.ring: Callable[[int, int], None] = lambda slot, at_ns: None
        self.lane_bytes = lane_bytes
        self.links: dict[int, SimLink] = {}
        self.into: dict[int, dict[int, Lane]] = {}
        self.apart: frozenset[int] = frozenset()
        self.apart_until_ns = 0
        self._lanes: dict[tuple[int, int], Lane] = {}
        self._agenda = agenda
        self._chance = chance
        self._faults = faults
        self._label = label
        self._count = 0
        least, most = faults.plan.delay_ns
        self._least_ns, self._span_ns = least, most - least + 1
        rates = faults.plan.rates
        self._loss, self._duplication, self._reorder = (
            rates.get("loss"),
            rates.get("duplication"),
            rates.get("reorder"),
        )
        self.has_network = faults.plan.has_network

    def lane(self, source: int, target: int) -> Lane:
        """The lane of an ordered pair of slots, made at the first use."""
        lane = self._lanes.get((source, target))
        if lane is None:
            label = f"{self._label(source)}>{self._label(target)}"
            lane = self._lanes[source, target] = Lane(source, target, label, self._chance.stream("lane", label))
            self.into.setdefault(target, {})[source] = lane
        return lane

    def publish(self, lane: Lane, taken: list[Sealed], at_ns: int) -> None:
        """Put frames into a lane; they arrive after a delay."""
        lane.published += len(taken)
        arrives_ns = max(lane.last_ns, at_ns + self._least_ns + int(lane.draw.random() * self._span_ns))
        if self.apart and (lane.source in self.apart) != (lane.target in self.apart):
            arrives_ns = max(arrives_ns, self.apart_until_ns)
        lane.last_ns = arrives_ns
        for sealed in taken:
            if self.has_network and sealed.frame.kind == KIND_MESSAGES:
                self._pass_network(lane, sealed.frame, arrives_ns)
            else:
                lane.frames.append((arrives_ns, sealed))
        due_ns = lane.arrives_ns()
        if due_ns is not None:
            self.ring(lane.target, due_ns)

    def part(self, apart: frozenset[int], until_ns: int) -> None:
        """Cut these slots off from all others."""
        self.apart, self.apart_until_ns = apart, until_ns

    def forget(self, slot: int) -> None:
        """A slot is dissolved; its number may be used again."""
        for source, target in [key for key in self._lanes if slot in key]:
            del self._lanes[source, target]
            self.into.get(target, {}).pop(source, None)
        self.into.pop(slot, None)

    def clear(self) -> None:
        """The memory of the node is gone."""
        self._lanes.clear()
        self.into.clear()
        self.links.clear()

    def in_transit(self) -> list[Frame]:
        """Frames of messages that no process has drained, by lane."""
        found: list[Frame] = []
        for lane in self._lanes.values():
            found += [sealed.frame for _, sealed in list(lane.frames)[lane.drained :]]
            found += [frame for _, _, frame in sorted(lane.under_way, key=lambda one: one[:2])]
        return [frame for frame in found if frame.kind == KIND_MESSAGES]

    # --- a network without a link's protocol --------------------------------------------------------------------------

    def _pass_network(self, lane: Lane, frame: Frame, arrives_ns: int) -> None:
        lane.released += 1
        key = (frame.sender, frame.target, frame.mailbox)
        taken = take(lane.marks.get(key), frame.epoch, frame.first_n, len(frame.payloads))
        lane.marks[key] = taken.mark
        for payload in frame.payloads[taken.skip :]:
            if self._strikes("loss", self._loss, lane):
                continue
            late_ns = 0
            if name := self._strikes("reorder", self._reorder, lane):
                late_ns = self._faults.detail(name).randrange(1, REORDER_NS)
            for again in range(2 if self._strikes("duplication", self._duplication, lane) else 1):
                at_ns = arrives_ns + late_ns + again
                self._count += 1
                heappush(lane.under_way, (at_ns, self._count, frame._replace(payloads=[payload])))

    def hasten(self, lane: Lane, count: int) -> int:
        """Let the next messages of the network arrive now; how many there were."""
        lane.under_way.sort(key=lambda one: one[:2])
        hastened = [(self._agenda.now_ns, number, frame) for _, number, frame in lane.under_way[:count]]
        lane.under_way[: len(hastened)] = hastened
        return len(hastened)

    def bring(self, slot: int) -> None:
        """Let all that is on its way to a slot arrive now."""
        now_ns = self._agenda.now_ns
        for lane in self.into.get(slot, {}).values():
            lane.frames = deque([(min(at_ns, now_ns), sealed) for at_ns, sealed in lane.frames])
            self.hasten(lane, len(lane.under_way))

    def drop(self, lane: Lane, count: int) -> list[Frame]:
        """Lose the next messages of the network."""
        lane.under_way.sort(key=lambda one: one[:2])
        dropped = [frame for _, _, frame in lane.under_way[:count]]
        del lane.under_way[:count]
        return dropped

    def _strikes(self, kind: str, rate: FaultRate | None, lane: Lane) -> str:
        if rate is None:
            return ""
        return self._faults.strikes(kind, lane.label, rate, lane.draw)  # type: ignore[arg-type]

    def arrive(self, lane: Lane, now_ns: int) -> None:
        """Number what the network delivers by now, and append it to the lane."""
        while lane.under_way and lane.under_way[0][0] <= now_ns:
            at_ns, _, frame = heappop(lane.under_way)
            key = (frame.sender, frame.target, frame.mailbox)
            n = lane.numbers[key] = lane.numbers.get(key, 0) + 1
            lane.frames.append((at_ns, Sealed(frame._replace(epoch=NETWORK_EPOCH, first_n=n), 0)))


class SimLink:
    """A process's end of its slot, as far as outbox and cycle use `transport.port.Link`."""

    message_bytes_max = MESSAGE_BYTES_MAX

    def __init__(self, lanes: Lanes, agenda: Agenda, slot: int) -> None:
        self.slot = slot
        self._leaves_ns = 0
        self._lanes = lanes
        self._agenda = agenda
        self._sending: dict[int, SendingLane] = {}
        self._out: dict[int, Lane] = {}
        lanes.links[slot] = self
        self._into = lanes.into.setdefault(slot, {})
        for lane in self._into.values():
            lane.drained = 0

    def attach(self, peer: int) -> None:
        """Link with a slot. Does nothing if that is done."""
        if peer in self._sending:
            return
        lane = self._out[peer] = self._lanes.lane(self.slot, peer)
        kept = sum(sealed.size for _, sealed in lane.frames)
        self._sending[peer] = SendingLane(
            self.slot, self._lanes.lane_bytes, lambda: self._publish(peer), kept, MESSAGE_BYTES_MAX
        )

    def detach(self, peer: int) -> None:
        """See `transport.port.Link`."""
        sending = self._sending.pop(peer, None)
        if sending is not None:
            sending.attached = False

    def outlet(self, peer: int, sender: str, target: str, mailbox: int, epoch: int, next_n: int) -> PythonOutlet:
        """See `transport.port.Link`."""
        return PythonOutlet(self._lane_to(peer), sender, target, mailbox, epoch, next_n)

    def signal(self, peer: int, kind: int, target: str) -> bool:
        """See `transport.port.Link`."""
        assert kind in (KIND_STOP, KIND_GO)
        return self._lane_to(peer).signal(kind, target)

    def flush(self, leaves_ns: int = 0) -> None:
        """See `transport.port.Link`. What is flushed leaves at a time, by default now: the process works until then."""
        self._leaves_ns = leaves_ns
        for peer, sending in self._sending.items():
            if sending.open is not None or sending.sealed:
                self._publish(peer)

    def _publish(self, peer: int) -> None:
        sending, lane = self._sending[peer], self._out[peer]
        taken = sending.take()
        if not taken:
            return
        released = lane.released
        self._lanes.publish(lane, taken, max(self._agenda.now_ns, self._leaves_ns))
        if lane.released != released:  # by the network
            sending.kept_bytes -= sum(sealed.size for sealed in taken if sealed.frame.kind == KIND_MESSAGES)

    def drain(self, messages_max: int) -> list[Frame]:
        """See `transport.port.Link`. Lanes are read in the order in which their next frames arrived."""
        now_ns = self._agenda.now_ns
        frames: list[Frame] = []
        left = messages_max
        due = [
            (lane.arrives_ns() or 0, lane)
            for lane in self._into.values()
            if lane.under_way or lane.drained < len(lane.frames)
        ]
        if len(due) > 1:
            due.sort(key=_time)
        for at_ns, lane in due:
            if at_ns > now_ns:
                break
            if lane.under_way:
                self._lanes.arrive(lane, now_ns)
            while left > 0 and lane.drained < len(lane.frames):
                at_ns, sealed = lane.frames[lane.drained]
                if at_ns > now_ns:
                    break
                lane.drained += 1
                frames.append(sealed.frame)
                left -= len(sealed.frame.payloads) or 1
        return frames

    def arrives_ns(self) -> int | None:
        """When there is something to drain."""
        earliest_ns: int | None = None
        for lane in self._into.values():
            if lane.under_way or lane.drained < len(lane.frames):
                at_ns = lane.arrives_ns()
                if at_ns is not None and (earliest_ns is None or at_ns < earliest_ns):
                    earliest_ns = at_ns
        return earliest_ns

    def release(self) -> None:
        """See `transport.port.Link`."""
        for lane in self._into.values():
            if not lane.drained:
                continue
            size = 0
            for _ in range(lane.drained):
                taken = lane.frames.popleft()[1].size
                lane.released += taken > 0  # what the network numbered has no size, and was released there
                size += taken
            lane.drained = 0
            self._give_room(lane.source, size)

    def _give_room(self, source: int, size: int) -> None:
        producer = self._lanes.links.get(source)
        sending = None if producer is None else producer._sending.get(self.slot)
        if sending is None or not size:
            return
        sending.kept_bytes -= size
        if sending.wanted and sending.free_bytes() >= sending.capacity // 2:
            self._lanes.ring(source, self._agenda.now_ns)

    def has_room(self, peer: int) -> bool:
        """See `transport.port.Link`."""
        return self._lane_to(peer).room()

    def published(self, peer: int) -> int:
        """See `transport.port.Link`; counts frames."""
        self._lane_to(peer)
        return self._out[peer].published

    def released(self, peer: int) -> int:
        """See `transport.port.Link`."""
        self._lane_to(peer)
        return self._out[peer].released

    def check_current(self) -> None:
        """Raise `Broken` if another process has the slot."""
        if self._lanes.links.get(self.slot) is not self:
            raise Broken(f"slot {self.slot}: another process has taken it over")

    def _lane_to(self, peer: int) -> SendingLane:
        sending = self._sending.get(peer)
        if sending is None:
            raise Closed(f"slot {peer} is not attached")
        return sending


def _time(due: tuple[int, Lane]) -> int:
    return due[0]
