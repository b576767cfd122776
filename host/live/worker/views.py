"""A worker's answers to queries about its engines: states, timers, mailboxes, counters, as plain data."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any, Final

from engines.model import view
from host.node.cell import Cell
from host.node.mailbox import Inbox

STORED_SHOWN_MAX: Final = 1_000
"""Stored messages of a mailbox that are shown, the oldest first."""

ACQUAINTANCES_SHOWN_MAX: Final = 1_000
"""Acquaintances that are shown."""


def show(kind: str, cells: Iterable[Cell], now_ns: int) -> list[dict[str, Any]]:
    """The items of a query of `kind`, one of `KINDS`. Raises the error of a value that cannot be shown."""
    shown: Callable[[Cell, int], list[dict[str, Any]]] = KINDS[kind]
    return [item for cell in cells for item in shown(cell, now_ns)]


def _state(cell: Cell, now_ns: int) -> list[dict[str, Any]]:
    env = cell.env
    known = [] if env is None else list(islice(env.acquaintances, ACQUAINTANCES_SHOWN_MAX))
    boxes = {} if env is None else {str(number): view(env[inbox.box].state) for number, inbox in cell.inboxes.items()}
    return [
        {
            "engine": cell.name,
            "family": cell.family.ref,
            "version": cell.family.version,
            "state": None if env is None else view(env.state),
            "mailboxes": boxes,
            "acquaintances": known,
            "now_ns": now_ns,
        }
    ]


def _timers(cell: Cell, now_ns: int) -> list[dict[str, Any]]:
    if cell.env is None:
        return []
    return [
        {
            "engine": cell.name,
            "name": name,
            "number": pending.number,
            "deadline_ns": pending.deadline_ns,
            "in_ns": pending.deadline_ns - now_ns,
        }
        for name, pending in cell.env.timers.items()
    ]


def _mailbox(cell: Cell, _now_ns: int) -> list[dict[str, Any]]:
    return [_inbox(cell, inbox) for inbox in cell.inboxes.values()]


def _inbox(cell: Cell, inbox: Inbox) -> dict[str, Any]:
    mailbox = None if cell.env is None else cell.env[inbox.box]
    stored = () if mailbox is None else mailbox.stored
    return {
        "engine": cell.name,
        "mailbox": inbox.number,
        "waiting": inbox.depth,
        "stored": [
            {"number": one.number, "sender": one.sender, "time": one.now_ns, "message": view(one.message)}
            for one in stored[:STORED_SHOWN_MAX]
        ],
        "stored_count": len(stored),
        "capacity": inbox.capacity,
        "policy": inbox.policy,
        "state": None if mailbox is None else view(mailbox.state),
    }


def _stats(cell: Cell, _now_ns: int) -> list[dict[str, Any]]:
    return [
        {
            "engine": cell.name,
            "state": _condition(cell),
            "mailbox_depth": cell.depth,
            "received": cell.received,
            "handled": cell.handled,
            "sent": cell.sent,
            "failed": cell.failed,
            "ignored_timers": cell.ignored,
        }
    ]


def _condition(cell: Cell) -> str:
    if cell.notify is not None:
        return "device"
    if cell.suspension is not None:
        return "suspended"
    return "paused" if cell.held else "running"


KINDS: Final = {"state": _state, "timers": _timers, "mailbox": _mailbox, "stats": _stats}
