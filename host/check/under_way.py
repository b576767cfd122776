"""Messages under way in a counterexample that becomes a journal: their numbers, and the order in which they are taken.

A log has the messages of a sender to a mailbox in the order of their numbers, and each once. What a check does with
them besides is `Unlike` a live node, unless a message that is overtaken is lost later.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from engines.model import encode
from engines.model.system import Envelope
from host.check.space import Successor

Flow = tuple[str, str, int]
"""Sender, target, mailbox."""

IN_ORDER: Final = ": try --network ordered"


class Unlike(Exception):
    """A step that no live node makes; the text says what, why, and what to do."""


class UnderWay:
    """Mutable. `steps` are those of the whole way."""

    def __init__(self, steps: Sequence[Successor]) -> None:
        self._steps = steps
        self._sent: dict[Flow, list[tuple[int, bytes]]] = {}
        self._outside: dict[Flow, int] = {}

    def leave(self, flow: Flow, n: int, payload: bytes) -> None:
        """An engine sent a message, its `n`-th on this flow."""
        self._sent.setdefault(flow, []).append((n, payload))

    def from_outside(self, envelope: Envelope) -> tuple[int, bytes]:
        """A message that no engine sent, with the next number of its flow: it is numbered as it arrives."""
        flow = flow_of(envelope)
        n = self._outside[flow] = self._outside.get(flow, 0) + 1
        return n, encode(envelope.message)

    def take(self, at: int, envelope: Envelope, *, is_lost: bool) -> tuple[int, bytes]:
        """An engine's message that step `at` delivers or loses, with its number. Raises `Unlike`."""
        flow, payload = flow_of(envelope), encode(envelope.message)
        sent = self._sent.get(flow, [])
        place = next((place for place, (_, other) in enumerate(sent) if other == payload), None)
        if place is None:
            raise Unlike(f"it is taken a second time, and a live engine takes a message once{IN_ORDER}")
        if not is_lost and not all(self._is_lost_later(at, flow, other) for _, other in sent[:place]):
            raise Unlike(f"it overtakes an earlier one of its sender, and a live node keeps their order{IN_ORDER}")
        return sent.pop(place)

    def _is_lost_later(self, at: int, flow: Flow, payload: bytes) -> bool:
        lost = (one.envelope for one in self._steps[at:] if one.kind == "lose")
        return any(one is not None and (flow_of(one), encode(one.message)) == (flow, payload) for one in lost)


def flow_of(envelope: Envelope) -> Flow:
    """The flow that a message belongs to."""
    return (envelope.sender, envelope.target, envelope.mailbox)
