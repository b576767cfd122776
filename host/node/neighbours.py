"""Sending to an engine in the same slot: no link, no codec, the same bounds.

A message is immutable, so the receiver gets the object itself, if its class is one of the mailbox's; two families
loaded from different versions of a module have different classes of one name, and there the codec translates.

An engine that sends to itself, or whose stop closes a circle of stopped engines in this slot, would wait for ever.
There the mailbox takes up to twice its capacity; beyond that the send becomes a dead letter `deadlock`. Circles through
other slots are found by the node (`host.node.circles`), which decides whose sends are lost.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from engines.model import encode
from engines.model.blame import blame
from host.node.cell import Cell, Way
from host.node.mailbox import Inbox

if TYPE_CHECKING:
    from host.node.outbox import Cause, Outbox
    from host.node.scheduler import Scheduler

ALLOWANCE: Final = 2
"""Multiple of its capacity that a mailbox in a circle takes."""

DEADLOCK: Final = "deadlock"
"""The dead-letter reason of a send in a circle once the allowance is spent."""


def post_here(
    outbox: Outbox, scheduler: Scheduler, cell: Cell, way: Way, here: Cell, mailbox: int, message: Any
) -> Cause | None:
    """Send to `here`, or return the cause to wait for. None: the message arrived, or became a dead letter."""
    inbox = way.inbox
    if inbox is None or here.inboxes.get(mailbox) is not inbox:
        inbox = way.inbox = here.inboxes.get(mailbox)
    if inbox is None:
        outbox.bury("undeclared_mailbox", cell, here.name, mailbox, message, "")
        return None
    if here.is_stopping and inbox.policy == "wait":
        if outbox.relief.loses(cell, here.name):
            outbox.bury(DEADLOCK, cell, here.name, mailbox, message, "")
            return None
        if not closes_circle(scheduler.cells, cell, here):
            return ("stop", here.name)
        if inbox.depth >= ALLOWANCE * inbox.capacity:
            outbox.bury(DEADLOCK, cell, here.name, mailbox, message, "")
            return None
    try:
        shared = _for_neighbour(inbox, message)
    except BaseException as error:
        outbox.bury("type", cell, here.name, mailbox, message, blame(error)[0])
        return None
    epoch = outbox.epoch if cell.recorder is None else cell.recorder.epoch
    scheduler.arrivals.deliver_here(here, inbox, cell.name, epoch, way.next_n, shared)
    way.next_n += 1
    cell.sent += 1
    scheduler.tally.sent += 1
    return None


def closes_circle(cells: Mapping[str, Cell], cell: Cell, target: Cell) -> bool:
    """Whether `target` waits, directly or not, for `cell` to take mail; also when it is `cell` itself."""
    seen: set[str] = set()
    ahead = [target]
    while ahead:
        found = ahead.pop()
        if found is cell:
            return True
        if found.name not in seen:
            seen.add(found.name)
            ahead.extend(cells[name] for name in found.held if name in cells)
    return False


def _for_neighbour(inbox: Inbox, message: Any) -> Any:
    """The message itself where the classes are the same, else by the codec. Raises what decoding raises."""
    if type(message) in inbox.box.accepts_types:
        return message
    return inbox.box.decode(encode(message))
