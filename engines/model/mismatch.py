"""What a rehearsal found: a trigger of the past that the new version of a family handles differently."""

from __future__ import annotations

from typing import Any

import msgspec


class Handled(msgspec.Struct, frozen=True):
    """What a version made of a trigger.

    `result` is "committed", "stored", "failed", "refused", "overflow", "unreadable" or "asks"; `error` is why it
    failed. `outputs` are plain data: `{"to": "alice", "mailbox": 0, "message": {"type": "Total", "count": 3}}`,
    `{"spawn": …}`, `{"stop": True}`.
    """

    result: str
    outputs: tuple[Any, ...] = ()
    error: str = ""

    def messages(self, tag: str) -> list[dict[str, Any]]:
        """The messages of one type that were sent, as plain data."""
        sent = (output.get("message") for output in self.outputs)
        return [message for message in sent if isinstance(message, dict) and message.get("type") == tag]


class Mismatch(msgspec.Struct, frozen=True):
    """A difference, for `Family(intended=…)` to judge.

    `message` is the message as the new version has it, None if the trigger is `timers`. `places` are parts of the
    environment that differ after it ("state.total"), each reported once; new fields of the state are not among them.
    """

    sender: str
    message: Any
    timers: tuple[str, ...]
    now_ns: int
    before: Handled
    after: Handled
    places: tuple[str, ...] = ()
