"""Triggers set aside because their engine fails on them, and how often each has failed so far.

The supervisor keeps it in a file of its own below the data folder: it survives a kill of any process. Open entries are
in memory, with their payload; entries that were replayed or discarded stay in the file until the next rewrite.

Records, each a struct tagged by its name: `Attempt` (a process died in that trigger), `Held` (it is in quarantine),
`Released` (it left quarantine). Crash points: between the death of a process and its `Attempt`, the attempt is not
counted, and the trigger gets one more; between `Held` and the reply to the waiting command, it is held. A trigger held
twice, because its engine was killed before the outcome was durable there, is one entry.
"""

from __future__ import annotations

from typing import Any, Final, Literal

import msgspec

from host.live.supervisor.append_file import AppendFile
from host.node.news import SetAside, Trigger
from host.node.poison import Policy

HELD_MAX: Final = 10_000
"""Triggers in quarantine; one more is refused and becomes a dead letter."""

ATTEMPTS_KEPT: Final = 10_000
"""Triggers whose failures are remembered; the oldest are dropped."""

FILE_BYTES_MAX: Final = 16 << 20
"""Beyond this size the file is rewritten at the next opening."""


class Attempt(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """A process died in `trigger`; `failure` is how."""

    trigger: Trigger
    failure: str


class Held(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """One entry. `payload` is the encoded message, None for timers; `state` and `code` are digests."""

    id: int
    trigger: Trigger
    at_ns: int
    state: str
    code: str
    detail: str
    policy: Policy
    payload: bytes | None = None


class Released(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """An entry is dealt with."""

    id: int
    how: Literal["replayed", "discarded"]


_DECODER: Final = msgspec.msgpack.Decoder(Attempt | Held | Released)
_encode: Final = msgspec.msgpack.Encoder().encode


class Quarantine:
    """Mutable, in the supervisor's thread. Raises OSError when its file cannot be written."""

    def __init__(self, path: str) -> None:
        """Raises OSError, `DamagedFile`."""
        self._file = AppendFile(path)
        self._held: dict[int, Held] = {}
        self._failures: dict[Trigger, tuple[str, ...]] = {}
        self._last = 0
        for payload in self._file.records:
            self._apply(_DECODER.decode(payload))
        self._file.records.clear()
        self.torn_bytes = self._file.torn_bytes
        if self._file.size > FILE_BYTES_MAX:
            self._rewrite()

    def failures(self, trigger: Trigger) -> tuple[str, ...]:
        """How processes have died in it so far."""
        return self._failures.get(trigger, ())

    def count(self, trigger: Trigger, failure: str) -> None:
        """Count another death of a process in it."""
        self._write(Attempt(trigger, failure))

    def hold(self, found: SetAside, policy: Policy, payload: bytes | None) -> Held | None:
        """A new entry, on the disk on return; or the entry the same trigger has already; or None at the bound."""
        trigger = found.trigger
        known = next((held for held in self._held.values() if held.trigger == trigger and trigger.n), None)
        if known is not None or len(self._held) >= HELD_MAX:
            return known
        held = Held(self._last + 1, trigger, found.now_ns, found.state, found.code, found.detail, policy, payload)
        self._write(held)
        self._file.sync()
        return held

    def release(self, number: int, how: Literal["replayed", "discarded"]) -> None:
        """An entry is dealt with. Raises KeyError."""
        if number not in self._held:
            raise KeyError(number)
        self._write(Released(number, how))
        self._file.sync()

    def find(self, number: int) -> Held | None:
        """The entry with that number."""
        return self._held.get(number)

    def entries(self, engine: str = "") -> list[Held]:
        """All, or those of one engine, oldest first."""
        return [held for held in self._held.values() if engine in ("", held.trigger.engine)]

    def parked(self) -> frozenset[str]:
        """The engines parked until their entry is dealt with."""
        return frozenset(held.trigger.engine for held in self._held.values() if held.policy == "park")

    def close(self) -> None:
        """Idempotent."""
        self._file.close()

    def _write(self, record: Attempt | Held | Released) -> None:
        self._file.append(_encode(record))
        self._apply(record)

    def _apply(self, record: Attempt | Held | Released) -> None:
        match record:
            case Attempt(trigger, failure):
                self._failures[trigger] = (*self._failures.pop(trigger, ()), failure)
                if len(self._failures) > ATTEMPTS_KEPT:
                    del self._failures[next(iter(self._failures))]
            case Held(number, trigger):
                self._held[number] = record
                self._last = max(self._last, number)
                self._failures.pop(trigger, None)
            case Released(number):
                self._held.pop(number, None)

    def _rewrite(self) -> None:
        attempts = [Attempt(trigger, one) for trigger, all_of in self._failures.items() for one in all_of]
        self._file.rewrite(_encode(record) for record in (*attempts, *self._held.values()))


def shown(held: Held, *, whole: bool) -> dict[str, Any]:
    """An entry for people; `whole` with traceback and digests."""
    from host.node.report import render  # brings the model with it: not on the way to the first engine

    trigger = held.trigger
    item = {
        "id": held.id,
        "engine": trigger.engine,
        "sender": trigger.sender,
        "mailbox": trigger.mailbox,
        "n": trigger.n,
        "time": held.at_ns,
        "policy": held.policy,
        "reason": next((line for line in reversed(held.detail.strip().splitlines())), ""),
        "message": None if held.payload is None else render(held.payload, True),
    }
    if whole:
        item |= {"epoch": trigger.epoch, "state": held.state, "code": held.code, "detail": held.detail}
    return item
