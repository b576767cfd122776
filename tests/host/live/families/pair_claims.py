"""What holds of a sender and a receiver of `pairing` in every state of a run, and what does not."""

from __future__ import annotations

from typing import Any

from pairing import RECEIVER, SENDER, Go, Numbered

from engines.model.system import Envelope, Member, System
from engines.model.system_view import SystemView

COUNT = 3
"""Numbers in each order."""


def nothing_is_lost(view: SystemView) -> bool:
    """Each number that was sent is either taken or in transit, once."""
    sent = [n for first in view.state("from").taken for n in range(first, first + COUNT)]
    under_way = [one.message.n for one in view.in_transit if isinstance(one.message, Numbered)]
    return sorted([*view.state("to").numbers, *under_way]) == sent


def few_are_taken(view: SystemView) -> bool:
    """Less than five numbers are taken: broken by the fifth."""
    return len(view.state("to").numbers) < 5


def history_is_whole(view: SystemView) -> bool:
    """The history has each order that was handled, and each number that was taken."""
    orders, numbers = view.history
    return (orders, numbers) == (len(view.state("from").taken), len(view.state("to").numbers))


def raises(view: SystemView) -> bool:
    """A mistake in a property."""
    return bool(view.state("nobody"))


def _record(history: tuple[int, int], envelope: Envelope, is_sent: bool) -> tuple[int, int]:
    orders, numbers = history
    if is_sent:
        return history
    kind: Any = type(envelope.message)
    return (orders + (kind is Go), numbers + (kind is Numbered))


SYSTEM = System(
    name="pair",
    members=[Member("from", SENDER), Member("to", RECEIVER)],
    always=[nothing_is_lost, history_is_whole],
    history=(0, 0),
    record=_record,
)
SILENT = System(name="silent", members=[Member("to", RECEIVER)])
