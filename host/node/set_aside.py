"""How a worker sets a trigger aside for the quarantine, and what becomes of its engine.

The report describes the trigger by its address in the stream, by digests of the state it met and of the code that ran,
and by the exception it raised or the way the process died in it. It is sent at once, before any output of the same
cycle leaves. Then the policy applies: `skip` goes on with the next trigger, `stop` ends the engine, `park` gives it no
trigger until the entry has been dealt with; its mailboxes stay open up to their bounds.

A parked engine has a held output that never leaves, under a name that no engine can have. So every check of whether an
engine may run gives the right answer, a snapshot included.
"""

from __future__ import annotations

import hashlib
from collections import deque
from typing import Any, Final

import msgspec

from engines.model import Delivery, Due, Environment, Family, encode
from host.node.cell import Cell
from host.node.news import SetAside, Trigger
from host.node.report import Report

PARKED: Final = " parked"

DIGEST_BYTES: Final = 16


def set_aside(report: Report, cell: Cell, trigger: Trigger, item: Any, detail: str, now_ns: int) -> None:
    """Report a trigger of `cell` and apply its policy. `item`: bytes, a message, or timers (`Due`)."""
    if isinstance(item, Due):
        payload = None
    else:
        payload = bytes(item) if isinstance(item, bytes | memoryview | msgspec.Raw) else encode(item)
    report.set_aside.append((SetAside(trigger, now_ns, state_digest(cell), cell.family.version, detail), payload))
    if cell.poison == "park":
        park(cell)
    elif cell.poison == "stop":
        cell.is_ended = True
        report.stopped.append(cell.name)


def trigger_of(cell: Cell, cause: Delivery[Any] | Due, epoch: int, n: int) -> Trigger:
    """The address of the trigger being handled."""
    if isinstance(cause, Due):
        return Trigger(cell.name, "", 0, 0, 0)
    return Trigger(cell.name, cause.sender, cause.mailbox, epoch, n)


def park(cell: Cell) -> None:
    """Give the cell no trigger from now on."""
    cell.held.setdefault(PARKED, deque())


def unpark(cell: Cell) -> None:
    """Undo `park`; the caller wakes the cell."""
    cell.held.pop(PARKED, None)


def state_digest(cell: Cell) -> str:
    """The digest of the engine's environment as hex digits; "" for a device."""
    return "" if cell.env is None else environment_digest(cell.family, cell.env).hex()


def environment_digest(family: Family[Any, Any, Any, Any], env: Environment[Any]) -> bytes:
    """Equal environments have equal digests, whatever the hash seed."""
    return hashlib.blake2b(family.dump(env), digest_size=DIGEST_BYTES).digest()
