"""The in-process twin: links whose lanes are queues in a `Hub`. It keeps the promises of `port.py`, not their speed.

The hub stands for what outlives a process: the frames published and not yet released, and which link occupies a slot. A
link that is dropped without `release` leaves its frames to the next one in its slot. `wait` sleeps on a descriptor, so
that event loops and watched descriptors work as with the other links.
"""

from __future__ import annotations

import os
import select
import threading
import time
from collections import Counter, deque
from contextlib import suppress
from typing import Final

from transport.port import KIND_GO, KIND_STOP, LANE_BYTES, MESSAGE_BYTES_MAX, SLOTS_MAX, Broken, Closed, Frame
from transport.sending import PythonOutlet, Sealed, SendingLane

NS_PER_S: Final = 1_000_000_000


class Hub:
    """The slots of one process: lanes by (from, to), and the link that occupies each slot."""

    def __init__(self, lane_bytes: int = LANE_BYTES) -> None:
        self.lane_bytes = lane_bytes
        self.lanes: dict[tuple[int, int], deque[Sealed]] = {}
        self.links: dict[int, LocalLink] = {}
        self.lock = threading.RLock()

    def link(self, slot: int) -> LocalLink:
        """Occupy a slot; the link that did so before is stale from now on."""
        if not 0 <= slot < SLOTS_MAX:
            raise ValueError(f"slots are 0 to {SLOTS_MAX - 1}, not {slot}")
        with self.lock:
            self.links[slot] = link = LocalLink(self, slot)
        return link

    def lane(self, source: int, target: int) -> deque[Sealed]:
        """The frames published from one slot to another and not released."""
        return self.lanes.setdefault((source, target), deque())


class LocalLink:
    """One end of a slot of a hub. See `transport.port.Link`."""

    def __init__(self, hub: Hub, slot: int) -> None:
        self._hub = hub
        self.slot = slot
        self.message_bytes_max = MESSAGE_BYTES_MAX
        self._sending: dict[int, SendingLane] = {}
        self._drained: dict[int, int] = {}
        self._published: Counter[int] = Counter()
        self._armed = False
        self._open = True
        self._counters: Counter[str] = Counter()
        self._doorbell = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._epoll = select.epoll()
        self._epoll.register(self._doorbell, select.EPOLLIN)

    def attach(self, peer: int) -> None:
        """Link with a slot of the same hub, occupied or not."""
        self._check_open()
        if peer == self.slot or not 0 <= peer < SLOTS_MAX or peer in self._sending:
            raise ValueError(f"slot {peer} is out of range, this link's own, or attached already")
        kept = sum(sealed.size for sealed in self._hub.lane(self.slot, peer))
        self._published[peer] = len(self._hub.lane(self.slot, peer))
        self._sending[peer] = lane = SendingLane(
            self.slot, self._hub.lane_bytes, lambda: self._publish(peer, lane), kept, MESSAGE_BYTES_MAX
        )
        self._drained[peer] = 0

    def detach(self, peer: int) -> None:
        """See `transport.port.Link`."""
        self._check_open()
        lane = self._sending.pop(peer, None)
        self._drained.pop(peer, None)
        if lane is not None:
            lane.attached = False

    def outlet(self, peer: int, sender: str, target: str, mailbox: int, epoch: int, next_n: int) -> PythonOutlet:
        """See `transport.port.Link`."""
        return PythonOutlet(self._lane_to(peer), sender, target, mailbox, epoch, next_n)

    def signal(self, peer: int, kind: int, target: str) -> bool:
        """See `transport.port.Link`."""
        if kind not in (KIND_STOP, KIND_GO):
            raise ValueError(f"kind {kind} is not stop or go")
        return self._lane_to(peer).signal(kind, target)

    def flush(self) -> None:
        """See `transport.port.Link`."""
        self._check_current()
        for peer, lane in self._sending.items():
            self._publish(peer, lane)

    def _publish(self, peer: int, lane: SendingLane) -> None:
        with self._hub.lock:
            taken = lane.take()
            self._hub.lane(self.slot, peer).extend(taken)
            self._published[peer] += len(taken)
            receiver = self._hub.links.get(peer)
            if taken and receiver:
                receiver.ring()
        self._count("out", taken)

    def ring(self) -> None:
        """Wake this link if it sleeps; called by its peers."""
        if self._armed:
            self._armed = False
            self._counters["rings"] += 1
            os.eventfd_write(self._doorbell, 1)

    def drain(self, messages_max: int) -> list[Frame]:
        """See `transport.port.Link`."""
        self._check_current()
        frames: list[Frame] = []
        left = messages_max
        with self._hub.lock:
            for peer in self._peers_in_turn():
                left -= self._drain_lane(peer, left, frames)
        return frames

    def _peers_in_turn(self) -> list[int]:
        """Attached peers, another one first each time."""
        peers = list(self._drained)
        self._counters["turns"] += 1
        first = self._counters["turns"] % max(len(peers), 1)
        return peers[first:] + peers[:first]

    def _drain_lane(self, peer: int, left: int, frames: list[Frame]) -> int:
        lane = self._hub.lane(peer, self.slot)
        begin, taken = self._drained[peer], 0
        while taken < left and self._drained[peer] < len(lane):
            frame = lane[self._drained[peer]].frame
            frames.append(frame._replace(payloads=frame.payloads.copy()))
            taken += len(frames[-1].payloads) or 1
            self._drained[peer] += 1
        self._count("in", [lane[i] for i in range(begin, self._drained[peer])])
        return taken

    def release(self) -> None:
        """See `transport.port.Link`."""
        self._check_current()
        with self._hub.lock:
            for peer, drained in self._drained.items():
                if drained:
                    self._release_lane(peer, drained)
                    self._drained[peer] = 0

    def _release_lane(self, peer: int, drained: int) -> None:
        lane = self._hub.lane(peer, self.slot)
        size = sum(lane.popleft().size for _ in range(drained))
        producer = self._hub.links.get(peer)
        sending = producer._sending.get(self.slot) if producer else None
        if producer is None or sending is None:
            return
        sending.kept_bytes -= size
        if sending.wanted and sending.free_bytes() >= sending.capacity // 2:
            producer.ring()

    def has_room(self, peer: int) -> bool:
        """See `transport.port.Link`."""
        return self._lane_to(peer).room()

    def published(self, peer: int) -> int:
        """See `transport.port.Link`; counts frames."""
        self._lane_to(peer)
        return self._published[peer]

    def released(self, peer: int) -> int:
        """See `transport.port.Link`."""
        with self._hub.lock:
            return self.published(peer) - len(self._hub.lane(self.slot, peer))

    def wait(self, timeout_ns: int | None) -> list[int]:
        """See `transport.port.Link`. The time-out is rounded up to milliseconds."""
        self._check_open()
        deadline = None if timeout_ns is None else time.monotonic_ns() + timeout_ns
        while True:
            has_news = not self.arm()
            left = None if deadline is None else max(deadline - time.monotonic_ns(), 0)
            ready = self._sleep(0 if has_news else left)
            if ready or has_news or self._has_news() or left == 0:
                return ready

    def _sleep(self, timeout_ns: int | None) -> list[int]:
        self._counters["blocks"] += timeout_ns != 0
        events = self._epoll.poll(None if timeout_ns is None else timeout_ns / NS_PER_S)
        self.hush()
        return [fd for fd, _ in events if fd != self._doorbell]

    def _has_news(self) -> bool:
        """Whether there is mail, or room for a refused message; room is reported once."""
        with self._hub.lock:
            mail = any(len(self._hub.lane(peer, self.slot)) > drained for peer, drained in self._drained.items())
            return mail or any(lane.room() for lane in self._sending.values() if lane.wanted)

    def watch(self, fd: int) -> None:
        """See `transport.port.Link`."""
        self._check_open()
        self._epoll.register(fd, select.EPOLLIN)

    def unwatch(self, fd: int) -> None:
        """See `transport.port.Link`."""
        self._check_open()
        self._epoll.unregister(fd)

    def arm(self) -> bool:
        """See `transport.port.Link`."""
        self._check_open()
        with self._hub.lock:
            self._armed = not self._has_news()
            return self._armed

    def hush(self) -> None:
        """See `transport.port.Link`."""
        self._check_open()
        self._armed = False
        with suppress(BlockingIOError):
            os.eventfd_read(self._doorbell)

    def fileno(self) -> int:
        """See `transport.port.Link`."""
        self._check_open()
        return self._doorbell

    def counters(self) -> dict[str, int]:
        """See `transport.port.Link`."""
        names = ("frames_in", "messages_in", "frames_out", "messages_out", "rings", "yields", "blocks")
        return {name: self._counters[name] for name in names}

    def settle(self, timeout_ns: int | None) -> bool:
        """See `transport.port.Link`: what is published lies in the hub."""
        self.flush()
        return True

    def close(self) -> None:
        """See `transport.port.Link`."""
        if not self._open:
            return
        for lane in self._sending.values():
            lane.attached = False
        self._open = False
        with self._hub.lock:
            if self._hub.links.get(self.slot) is self:
                del self._hub.links[self.slot]
            self._sending.clear()
            self._armed = False
        self._epoll.close()
        os.close(self._doorbell)

    def _count(self, way: str, moved: list[Sealed]) -> None:
        self._counters[f"frames_{way}"] += len(moved)
        self._counters[f"messages_{way}"] += sum(len(sealed.frame.payloads) for sealed in moved)

    def _lane_to(self, peer: int) -> SendingLane:
        self._check_open()
        lane = self._sending.get(peer)
        if lane is None:
            raise Closed(f"slot {peer} is not attached")
        return lane

    def _check_open(self) -> None:
        if not self._open:
            raise Closed("the link is closed")

    def _check_current(self) -> None:
        self._check_open()
        if self._hub.links.get(self.slot) is not self:
            raise Broken(f"slot {self.slot}: another process has taken it over")
