"""An engine's outputs and children according to its log: numbers, unacknowledged outputs, spawns."""

from __future__ import annotations

from collections import deque

from engines.model import Outgoing, Output, Spawned, encode
from host.node.journal.digest import Digest
from host.node.journal.numbering import Numbers
from host.node.journal.records import Acked, StreamImage, Unacked, spawn_record


class SentOutputs:
    """Mutable, one an engine."""

    __slots__ = ("_digest", "children", "count", "numbers", "unacked")

    def __init__(self, image: StreamImage, digest: Digest) -> None:
        self.numbers = Numbers(image.cell.ways, image.cell.ways_from_n)
        self.unacked: dict[tuple[str, int], deque[tuple[int, bytes]]] = {}
        for output in image.unacked:
            self.unacked.setdefault((output.target, output.mailbox), deque()).append((output.n, output.payload))
        self.children = {child.name: child for child in image.children}
        self.count = image.cell.counters[2]
        self._digest = digest

    def perform(self, outputs: tuple[Output, ...]) -> int:
        """Number and keep messages, keep spawns; returns the checksum of all. Outputs are not empty."""
        first = outputs[0]
        if len(outputs) == 1 and isinstance(first, Outgoing):
            payload, target, mailbox = encode(first.message), first.target, first.mailbox
            self._keep(target, mailbox, payload)
            return self._digest.outgoing(target, mailbox, payload)
        for output in outputs:
            if isinstance(output, Spawned):
                self.children.setdefault(output.name, spawn_record(output))
        return self._digest.outputs(outputs, lambda out, payload: self._keep(out.target, out.mailbox, payload))

    def acked(self, acked: Acked) -> None:
        """Outputs below a number need no sending again."""
        waiting = self.unacked.get((acked.target, acked.mailbox))
        while waiting and waiting[0][0] < acked.next_n:
            waiting.popleft()
        if waiting is not None and not waiting:
            del self.unacked[acked.target, acked.mailbox]

    def images(self) -> list[Unacked]:
        """The outputs that are not acknowledged, in order for each target."""
        return [
            Unacked(target, mailbox, n, payload)
            for (target, mailbox), outputs in self.unacked.items()
            for n, payload in outputs
        ]

    def _keep(self, target: str, mailbox: int, payload: bytes) -> None:
        way = target, mailbox
        queue = self.unacked.get(way)
        if queue is None:
            queue = self.unacked[way] = deque()
        queue.append((self.numbers.number(target, mailbox), payload))
        self.count += 1
