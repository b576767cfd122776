"""The state of measurement, and its parameters."""

from __future__ import annotations

from typing import TypeAlias

from engines.devices.key_value import ChangeValues, ScanValues
from engines.model import Config, Effects, Map, Ref, Value

from ..messages import AgentAnswer, FactsChanged, Happened, PromptWanted, ViewChanged
from ..protocol.model import Measurement
from .keeping import Shelf
from .rollups import Rollups
from .tracked import FollowLog, Measured, Price, Window


class Gauges(Config):
    """Where facts, alarms and orders go. `store` keeps rollups and events; `logs` reads session logs.

    `windows` and `prices` are of models. Roles in `open_to` may ask about others.
    """

    validator: Ref[FactsChanged] | None = None
    orchestrator: Ref[FactsChanged | PromptWanted] | None = None
    bridge: Ref[ViewChanged] | None = None
    listeners: tuple[Ref[Happened], ...] = ()
    store: Ref[ChangeValues | ScanValues] | None = None
    logs: Ref[FollowLog] | None = None
    windows: tuple[Window, ...] = ()
    prices: tuple[Price, ...] = ()
    program: str = "claude-code"
    open_to: tuple[str, ...] = ()


class Gap(Value):
    """Events of a family that did not come: from number `first` to `last`."""

    sender: str
    first: int
    last: int


class Rules(Value):
    """What a protocol says about measuring: what agents may record, and the roles that may ask about others."""

    declared: Map[str, Measurement] = Map()
    viewers: tuple[str, ...] = ()


class Measuring(Value):
    """State: agents, rollups, what waits for the disk; the last number of each family's events, and gaps in them."""

    agents: Map[str, Measured] = Map()
    rollups: Rollups = Rollups()
    shelf: Shelf = Shelf()
    seen: Map[str, int] = Map()
    gaps: tuple[Gap, ...] = ()
    missed: int = 0
    events: int = 0
    happened: int = 0
    views: int = 0
    rules: Map[str, Rules] = Map()
    is_ticking: bool = False


Outward: TypeAlias = (
    AgentAnswer | FactsChanged | PromptWanted | ViewChanged | Happened | FollowLog | ChangeValues | ScanValues
)
Made: TypeAlias = Effects[Measuring, Outward]
