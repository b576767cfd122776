"""Engine systems: which engines there are at first, what is in transit, and how messages travel. Pure.

A `System` is what the checker explores: the state (E, C, M, J) of the model's transition system at its beginning, and
the semantics of its network. A module holds one under a name, or a function of keyword parameters that returns one, so
that `--param servers=3` asks for another size.

Networks. What is in transit is, for

* `unordered`: a multiset; a message leaves it when it is delivered. This is the model.
* `ordered`: one queue for each sender, target and mailbox; only the head is delivered. This is what the live host does.
* `lossy`: as `unordered`, and any message may also be lost.
* `duplicating`: a set; a message stays in it for ever and may be delivered again at any time.

`standing` messages are never used up, whatever the network: they stand for what the world outside may do at any time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Literal, get_args

import msgspec

from .family import Family

NetworkKind = Literal["unordered", "ordered", "lossy", "duplicating"]
"""How messages travel; see the head of this file."""

NETWORKS: Final[tuple[str, ...]] = get_args(NetworkKind)
"""The names of all kinds of network."""

TimerKind = Literal["untimed", "bounded"]
"""Whether timers elapse at any time, one at a time, or at their deadlines."""

TIMERS: Final[tuple[str, ...]] = get_args(TimerKind)

OUTSIDE: Final = "outside"
"""The sender of a message that no engine sent, unless another name is given."""


class BadSystemError(ValueError):
    """A system that cannot begin; the text says which part of it and why."""


class Envelope(msgspec.Struct, frozen=True):
    """A message in transit to `mailbox` of `target`, with the sender the host stamps on it."""

    target: str
    message: Any
    sender: str = OUTSIDE
    mailbox: int = 0


class Member(msgspec.Struct, frozen=True):
    """An engine of a system at its beginning. `state` None: the family's own.

    `is_durable`: a node fault costs it nothing. Any other begins anew, and its descendants end.
    """

    name: str
    family: Family[Any, Any, Any, Any]
    params: Any = None
    state: Any = None
    is_durable: bool = False


class System(msgspec.Struct, frozen=True, kw_only=True):
    """Engines and messages in transit at the beginning, and what holds of all runs.

    Properties are functions of a `SystemView` that return whether they hold:

    * `always`: in each state that can be reached.
    * `sometimes`: in at least one of them; a check without a `sometimes` that holds may have explored nothing.
    * `eventually`: on each run that is strongly fair, sooner or later.
    * `leads_to`: pairs (P, Q): on each fair run, whenever P holds, Q holds then or later.

    Args:
        name: for people.
        members: the engines at the beginning.
        messages: what is in transit at the beginning.
        standing: messages that may be delivered at any time, any number of times.
        network: how messages travel.
        timers: whether they elapse at any time, or at their deadlines.
        outsiders: names that are no engines and take any message; what is sent to them is of no further interest.
        history: the first value of a record of what was sent and delivered, which properties read as `view.history`.
        record: the history after an envelope was sent (`is_sent`), or delivered.
        symmetric: groups of names that can be exchanged for one another everywhere without changing the system.
        reloads: for a family, the later version that its engines may go over to, each at any point.
        clock_ns: the engine clocks at the beginning, in nanoseconds.
        ticks_ns: steps by which the clock of an engine may advance, besides going to its next deadline; for timers
            with bounds.
        until_ns: no clock goes further; None: there is no such end.
    """

    name: str
    members: Sequence[Member]
    messages: Sequence[Envelope] = ()
    standing: Sequence[Envelope] = ()
    network: NetworkKind = "unordered"
    timers: TimerKind = "untimed"
    outsiders: Sequence[str] = (OUTSIDE,)
    always: Sequence[Callable[[Any], bool]] = ()
    sometimes: Sequence[Callable[[Any], bool]] = ()
    eventually: Sequence[Callable[[Any], bool]] = ()
    leads_to: Sequence[tuple[Callable[[Any], bool], Callable[[Any], bool]]] = ()
    history: Any = None
    record: Callable[[Any, Envelope, bool], Any] | None = None
    symmetric: Sequence[Sequence[str]] = ()
    reloads: Mapping[Family[Any, Any, Any, Any], Family[Any, Any, Any, Any]] = {}
    clock_ns: int = 0
    ticks_ns: Sequence[int] = ()
    until_ns: int | None = None

    def __post_init__(self) -> None:
        if self.network not in NETWORKS:
            raise BadSystemError(f"{self.name}: there is no network {self.network!r}; there are {', '.join(NETWORKS)}")
        if self.timers not in TIMERS:
            raise BadSystemError(f"{self.name}: timers are {' or '.join(TIMERS)}, not {self.timers!r}")
        if any(tick <= 0 for tick in self.ticks_ns):
            raise BadSystemError(f"{self.name}: a clock only goes forward: {min(self.ticks_ns)} ns is no tick")
        if not self.members:
            raise BadSystemError(f"{self.name} has no engines")
        names = [member.name for member in self.members]
        if twice := next((name for name in names if names.count(name) > 1), None):
            raise BadSystemError(f"{self.name}: two engines are called {twice!r}")
