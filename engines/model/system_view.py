"""What a property sees: an engine system in one of its states. Read-only, and the same for checker and simulator."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import msgspec

from .environment import Environment
from .family import Family
from .system import Envelope
from .trigger import Configuration

EngineStatus = Literal["running", "suspended", "stopped"]
"""`suspended`: it waits for an answer to a question; `stopped`: it has ended, and its last state is kept."""


class EngineView(msgspec.Struct, frozen=True):
    """One engine: its last committed state, and what stands beside it.

    `family` is the family's name, `timers` the names of those pending, `stored` all stored messages in order of
    mailbox and arrival, `mailbox_states` the states of its mailboxes by number (None for a gap), `clock_ns` its clock.
    """

    name: str
    family: str
    config: Any
    state: Any
    status: EngineStatus
    timers: tuple[str, ...] = ()
    stored: tuple[Any, ...] = ()
    mailbox_states: tuple[Any, ...] = ()
    clock_ns: int = 0


def engine_view(
    configuration: Configuration[Any],
    family: Family[Any, Any, Any, Any],
    env: Environment[Any],
    status: EngineStatus,
    clock_ns: int = 0,
) -> EngineView:
    """An engine as properties see it."""
    boxes = env.mailboxes
    return EngineView(
        configuration.name,
        family.name,
        configuration.params,
        env.state,
        status,
        env.timers.keys(),
        tuple(stored for box in boxes if box is not None for stored in box.stored),
        tuple(None if box is None else box.state for box in boxes),
        clock_ns,
    )


class SystemView:
    """All engines by name, the messages in transit, and the history that the system keeps of them.

    `engines` of the constructor are in order of their names; the messages in transit may be given by a function, since
    few properties read them. `now_ns` is the time of a simulation; a check has none, since each engine has its clock.
    """

    __slots__ = ("_engines", "_transit", "history", "now_ns")

    def __init__(
        self,
        engines: Mapping[str, EngineView],
        in_transit: Sequence[Envelope] | Callable[[], Sequence[Envelope]],
        history: Any = None,
        now_ns: int | None = None,
    ) -> None:
        self._engines = engines
        self._transit = in_transit
        self.history = history
        self.now_ns = now_ns

    @property
    def in_transit(self) -> Sequence[Envelope]:
        """The messages that were sent and not delivered yet; equal ones are there as often as they were sent."""
        transit = self._transit
        return transit() if callable(transit) else transit

    def engine(self, name: str) -> EngineView:
        """The engine of this name. Raises KeyError, naming those there are."""
        try:
            return self._engines[name]
        except KeyError:
            raise KeyError(f"no engine {name!r}; there are {', '.join(sorted(self._engines))}") from None

    def state(self, name: str) -> Any:
        """The state of the engine of this name. Raises KeyError."""
        return self.engine(name).state

    def engines(self, family: str = "") -> tuple[EngineView, ...]:
        """All engines, or those of a family by its name, in order of their names."""
        found = self._engines.values()
        return tuple([view for view in found if view.family == family] if family else found)

    def __contains__(self, name: object) -> bool:
        return name in self._engines
