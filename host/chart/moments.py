"""What engines did, moment by moment: the input of `join`.

A moment belongs to one source (a log), whose moments are in a certain order. Its parts happened together, in the order
of the fields: the message taken, marks of its cause and outcome, then what it sent and spawned, then its end.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from host.chart.model import ChartMark, Fate


class MessageId(NamedTuple):
    """The identity of a message: the number counts by target and mailbox, within an epoch of the sender."""

    sender: str
    target: str
    mailbox: int
    epoch: int
    n: int


class Taking(msgspec.Struct, frozen=True, array_like=True):
    """A message taken, and what became of it."""

    id: MessageId
    label: str
    fate: Fate
    detail: str = ""


class Sending(msgspec.Struct, frozen=True, array_like=True):
    """A message sent."""

    id: MessageId
    label: str


class Spawning(msgspec.Struct, frozen=True, array_like=True):
    """A child spawned; `label` names its family."""

    child: str
    label: str


class Moment(msgspec.Struct, frozen=True, array_like=True):
    """What `engine` did at once, in its turn `turn`. Without an engine: something that befell a whole source."""

    time_ns: int
    engine: str = ""
    turn: int = 0
    took: Taking | None = None
    marks: tuple[ChartMark, ...] = ()
    sent: tuple[Sending, ...] = ()
    spawned: tuple[Spawning, ...] = ()
    after: tuple[ChartMark, ...] = ()
    is_birth: bool = False
    is_end: bool = False


class Source(msgspec.Struct, frozen=True, array_like=True):
    """The moments of one log, in order.

    `engines` are all that lived in it. `waiting` is mail that nobody has taken, as (id of the first, count).
    `complete_from_ns`: from then on, no moment of these engines is missing; None: some may be.
    """

    name: str
    moments: tuple[Moment, ...]
    engines: tuple[str, ...]
    waiting: tuple[tuple[MessageId, int], ...] = ()
    complete_from_ns: int | None = None
