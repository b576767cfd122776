"""Dumps: an environment as MessagePack, for a reload, the determinism check, and snapshots.

Layout, an array in this order:

| field | type |
|---|---|
| format | 1 |
| state | the state as the codec writes it |
| mailboxes | arrays [number, state, count, stored], stored being arrays [number, sender, now_ns, message] |
| timers | arrays [name, number, deadline_ns], by name |
| acquaintances | names in order |
| children | arrays [word, count], by word |
| timer_count | the last timer number given out |
"""

from __future__ import annotations

from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any, Final, TypeVar

import msgspec

from ..birth import mailboxes
from ..box import Mailbox, StoredMessage
from ..environment import Environment, Pending
from ..map import Map
from ..values import Decoder, encode

if TYPE_CHECKING:
    from ..family_types import FamilyTypes

S = TypeVar("S")

FORMAT: Final = 1

NONE: Final[Map[Any, Any]] = Map()
"""Most engines have no timers and no children; all those share one empty map."""

KNOWN_MAX: Final = 256
"""Sets of acquaintances that are shared by all engines that have them: thousands of siblings know only their parent."""


class StoredDump(msgspec.Struct, frozen=True, array_like=True):
    """A stored message, still encoded."""

    number: int
    sender: str
    now_ns: int
    message: msgspec.Raw


class MailboxDump(msgspec.Struct, frozen=True, array_like=True):
    """A mailbox, state and messages still encoded."""

    number: int
    state: msgspec.Raw
    count: int
    stored: tuple[StoredDump, ...]


class EnvironmentDump(msgspec.Struct, frozen=True, array_like=True):
    """A dump with its typed parts still encoded."""

    format: int
    state: msgspec.Raw
    mailboxes: tuple[MailboxDump, ...]
    timers: tuple[tuple[str, int, int], ...]
    acquaintances: tuple[str, ...]
    children: tuple[tuple[str, int], ...]
    timer_count: int


def dump_environment(env: Environment[Any]) -> bytes:
    """The bytes of an environment. Equal environments have equal bytes, whatever the hash seed."""
    state: Any = env.state  # encoded with the rest
    return encode(
        EnvironmentDump(
            FORMAT,
            state,
            tuple([_dump_mailbox(number, held) for number, held in enumerate(env.mailboxes) if held is not None]),
            tuple((name, timer.number, timer.deadline_ns) for name, timer in env.timers.items()) if env.timers else (),
            env.acquaintances.keys(),
            env.children.items() if env.children else (),
            env.timer_count,
        )
    )


def load_environment(family: FamilyTypes[Any, Any, S, Any], dump: bytes) -> Environment[S]:
    """The environment of a dump. Raises msgspec.ValidationError when it is none of this family's."""
    parts = read_dump(dump)
    return assemble(family, parts, decoder(family.states)(bytes(parts.state)))


def read_dump(dump: bytes) -> EnvironmentDump:
    """A dump's parts. Raises msgspec.ValidationError for another format."""
    parts = _DUMP.decode(dump)
    if parts.format != FORMAT:
        raise msgspec.ValidationError(f"a dump of format {parts.format}; this reads format {FORMAT}")
    return parts


def assemble(family: FamilyTypes[Any, Any, S, Any], parts: EnvironmentDump, state: S) -> Environment[S]:
    """An environment with this state, everything else from the dump; mailboxes the dump lacks are empty."""
    cluster = list(mailboxes(family))
    for held in parts.mailboxes:
        box = family.boxes.get(held.number)
        if box is None:
            raise msgspec.ValidationError(f"{family.name} declares no mailbox {held.number}")
        stored = tuple(
            [
                StoredMessage(one.number, one.sender, held.number, box.decode(bytes(one.message)), one.now_ns)
                for one in held.stored
            ]
        )
        cluster[held.number] = Mailbox(decoder(box.states)(bytes(held.state)), stored, held.count)
    timers = Map((name, Pending(n, deadline_ns)) for name, n, deadline_ns in parts.timers) if parts.timers else NONE
    children = Map(parts.children) if parts.children else NONE
    return Environment(state, tuple(cluster), timers, _known(parts.acquaintances), children, parts.timer_count)


@lru_cache(KNOWN_MAX)
def _known(names: tuple[str, ...]) -> Map[str, None]:
    return Map((name, None) for name in names)


@cache
def decoder(form: Any) -> Any:
    """The decoding function of a type, made once."""
    return Decoder[Any](form).decode


def _dump_mailbox(number: int, held: Mailbox[Any, Any]) -> MailboxDump:
    state: Any = held.state
    stored = tuple(
        [StoredDump(one.number, one.sender, one.now_ns, msgspec.Raw(encode(one.message))) for one in held.stored]
    )
    return MailboxDump(number, state, held.count, stored)


_DUMP: Final = Decoder[EnvironmentDump](EnvironmentDump)
