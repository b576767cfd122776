"""Faults: what can go wrong in a world, as text, and the decision for each occasion.

    loss=P            a message between two slots is lost
    duplication=P     it arrives twice
    reorder=P         it arrives later than messages sent after it, by up to REORDER_NS
    delay=A..B        how long every message between two slots takes (default DELAY_NS_MIN..DELAY_NS_MAX)
    partition=P:T     at a cycle of a process some slots are cut off from the others, for up to T (default 100ms)
    slow=P:T          in a cycle of a process each trigger takes up to T longer
    crash=P           a process is killed in a cycle, at a place drawn by chance (`enginehost.sim`, the table of them)
    node=P            all processes of the node are killed, and its lanes are gone; it starts again with its logs
    power=P           the same, and what no log had synced is gone as well
    reload=P          at a cycle the code of a slot is replaced by itself, through every stage of a reload

P is a probability from 0 to 1. `crash`, `slow` and `reload` may name an engine: `crash=server:0.01`. `*N` behind P
bounds how often it happens in a run: `crash=0.01*3`. `delay` and `partition` keep what a live link promises: every
message once, in order for each pair of slots. `loss`, `duplication` and `reorder` do not: they act between the two ends
of a link, above its numbering, as a network without the link's protocol would. They show what engines must tolerate
before they may run on more than one node; a single live node never does that to them.

Each occasion has an id, `kind:place:number`, such as `crash:server:57` (the 57th cycle of the process of server) or
`loss:alice>server:3`. A run with `only` performs just the faults with these ids; the head of `host.sim` says why the
others stay as they were.
"""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import Final, Literal

import msgspec

from host.config.units import UnitError, parse_quantity
from host.sim.agenda import Chance

FaultKind = Literal["loss", "duplication", "reorder", "partition", "slow", "crash", "node", "power", "reload"]

DELAY_NS_MIN: Final = 1_000
DELAY_NS_MAX: Final = 20_000
"""A lane hands a message over in microseconds."""

REORDER_NS: Final = 10_000_000
"""The most by which a message is late that is overtaken."""

LASTS_NS: Final = {"partition": 100_000_000, "slow": 10_000_000}
"""Default durations."""

KINDS: Final = ("loss", "duplication", "reorder", "partition", "slow", "crash", "node", "power", "reload")
BY_ENGINE: Final = frozenset({"slow", "crash", "reload"})


class FaultError(ValueError):
    """A text that describes no faults; says where, and what to write."""


class FaultRate(msgspec.Struct, frozen=True):
    """How often a fault happens. `most` bounds it in a run, `engine` limits it to a slot, `lasts_ns` is its length."""

    probability: float
    most: int | None = None
    engine: str = ""
    lasts_ns: int = 0


class FaultPlan(msgspec.Struct, frozen=True):
    """What can go wrong in a run."""

    rates: dict[FaultKind, FaultRate] = {}
    delay_ns: tuple[int, int] = (DELAY_NS_MIN, DELAY_NS_MAX)
    text: str = ""

    @property
    def has_network(self) -> bool:
        """Whether messages are lost, doubled or overtaken."""
        return bool(self.rates.keys() & {"loss", "duplication", "reorder"})


def parse_faults(text: str) -> FaultPlan:
    """Read a text such as `loss=0.01,crash=server:0.05*3,delay=0..5ms`. Raises `FaultError`."""
    rates: dict[FaultKind, FaultRate] = {}
    delay_ns = (DELAY_NS_MIN, DELAY_NS_MAX)
    for item in filter(None, (part.strip() for part in text.split(","))):
        name, equals, value = item.partition("=")
        if not equals:
            raise FaultError(f"`{item}`: write name=value, such as `crash=0.01`")
        if name == "delay":
            delay_ns = _span(item, value)
            continue
        kind = next((kind for kind in KINDS if kind == name), None)
        if kind is None:
            raise FaultError(f"`{item}`: there is no fault `{name}`; there are delay, {', '.join(KINDS)}")
        rates[kind] = _rate(item, kind, value)
    return FaultPlan(rates, delay_ns, text)


def _rate(item: str, kind: str, value: str) -> FaultRate:
    lasts_ns, engine = LASTS_NS.get(kind, 0), ""
    parts = value.split(":")
    if kind in LASTS_NS and len(parts) > 1:
        lasts_ns = _duration(item, parts.pop())
    if kind in BY_ENGINE and len(parts) > 1:
        engine = parts.pop(0)
    share, star, most = parts[0].partition("*")
    if len(parts) > 1 or (star and not most.isdecimal()):
        raise FaultError(f"`{item}`: expected a probability such as `0.01`, or `0.01*3` for at most three")
    try:
        probability = float(share)
    except ValueError:
        raise FaultError(f"`{item}`: `{share}` is no probability; write one from 0 to 1, such as `0.01`") from None
    if not 0 <= probability <= 1:
        raise FaultError(f"`{item}`: a probability is from 0 to 1")
    return FaultRate(probability, int(most) if star else None, engine, lasts_ns)


def _span(item: str, value: str) -> tuple[int, int]:
    least, dots, most = value.partition("..")
    span = _duration(item, least if dots else value), _duration(item, most if dots else value)
    if span[0] > span[1]:
        raise FaultError(f"`{item}`: the least delay is above the most")
    return span


def _duration(item: str, text: str) -> int:
    if text.strip() == "0":
        return 0
    try:
        return parse_quantity(text, "_ns")
    except UnitError as error:
        raise FaultError(f"`{item}`: {error}") from None


class Faults:
    """The decisions of one run. Mutable; `happened` are the ids of the faults so far, in order.

    While `is_paused` none happens; what would have is drawn all the same.
    """

    def __init__(self, plan: FaultPlan, chance: Chance, only: frozenset[str] | None = None) -> None:
        self.plan = plan
        self.happened: list[str] = []
        self.is_paused = False
        self._chance = chance
        self._only = only
        self._counts: Counter[str] = Counter()
        self._left = {kind: rate.most for kind, rate in plan.rates.items()}

    def rate(self, kind: FaultKind, engines: frozenset[str] = frozenset()) -> FaultRate | None:
        """The rate at a place where these engines live; None: it does not happen there."""
        rate = self.plan.rates.get(kind)
        return None if rate is None or (rate.engine and rate.engine not in engines) else rate

    def strikes(self, kind: FaultKind, place: str, rate: FaultRate, draw: Random) -> str:
        """The id of the fault if it happens at this occasion, else "". One number is drawn from `draw` in any case."""
        drawn = draw.random() < rate.probability
        if not drawn and self._only is None:
            self._counts[f"{kind}:{place}"] += 1
            return ""
        key = f"{kind}:{place}"
        self._counts[key] += 1
        name = f"{key}:{self._counts[key]}"
        if self.is_paused or (name not in self._only if self._only is not None else self._left[kind] == 0):
            return ""
        left = self._left[kind]
        if left is not None:
            self._left[kind] = left - 1
        self.happened.append(name)
        return name

    def detail(self, name: str) -> Random:
        """The stream for what the fault of this id does."""
        return self._chance.stream("fault", name)
