"""Where two environments differ: the one that new code made, and the old one migrated. Pure, over dumps."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from engines.model.store.dump import EnvironmentDump, MailboxDump


def differences(
    old: EnvironmentDump, start: EnvironmentDump, carried: EnvironmentDump, mine: EnvironmentDump
) -> Iterator[tuple[str, bool]]:
    """The places where an environment differs from the old one migrated, and whether only the new version has them.

    `start` is the migrated environment before the first trigger.
    """
    yield from _walk("state", *(_decode(bytes(one.state)) for one in (old, start, carried, mine)))
    before, first, there = ({box.number: box for box in one.mailboxes} for one in (old, start, carried))
    for held in mine.mailboxes:
        number, name = held.number, f"mailbox {held.number}"
        if number not in before:
            continue
        states = (before[number], first[number], there[number], held)
        yield from _walk(f"{name}.state", *(_decode(bytes(one.state)) for one in states))
        if _letters(held) != _letters(there[number]):
            yield f"{name}.stored", False
    if [(name, at) for name, _, at in mine.timers] != [(name, at) for name, _, at in carried.timers]:
        yield "timers", False
    for part in ("acquaintances", "children"):
        if getattr(mine, part) != getattr(carried, part):
            yield part, False


def _letters(box: MailboxDump) -> list[tuple[str, bytes]]:
    return [(one.sender, bytes(one.message)) for one in box.stored]


def _walk(where: str, old: Any, start: Any, carried: Any, mine: Any) -> Iterator[tuple[str, bool]]:
    """Where two values differ: structs field by field, all else as a whole."""
    if carried == mine:
        return
    if not (isinstance(carried, dict) and isinstance(mine, dict)):
        yield where, False
        return
    known, first = (one if isinstance(one, dict) else {} for one in (old, start))
    for name in {**carried, **mine}:
        if name in known:
            parts = (one.get(name) for one in (known, first, carried, mine))
            yield from _walk(f"{where}.{name}", *parts)
        elif carried.get(name) != mine.get(name):
            yield f"{where}.{name}", carried.get(name) == first.get(name)


_decode: Final = msgspec.msgpack.Decoder(strict=True).decode
