"""A process's report of its engines, declared once: written by the worker, sent, kept and shown in this form."""

from __future__ import annotations

from typing import Any

import msgspec

from host.node.poison import Trigger


class Letter(msgspec.Struct, frozen=True, array_like=True):
    """A dead letter: sender, target, reason, time (engine time), and a rendering of the message."""

    reason: str
    sender: str
    target: str
    mailbox: int
    now_ns: int
    message: Any
    detail: str = ""


class NoteLine(msgspec.Struct, frozen=True, array_like=True):
    """A `Note` effect, or a line of a driver's log."""

    engine: str
    now_ns: int
    text: str
    fields: dict[str, Any] = {}


class SetAside(msgspec.Struct, frozen=True):
    """A trigger for the quarantine. `payload` is the encoded message, None for timers."""

    trigger: Trigger
    now_ns: int
    state: str
    code: str
    detail: str
    payload: bytes | None
