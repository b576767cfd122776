"""What a family tells its listeners: at once while little happens, gathered for `GATHER_NS` while much does.

A message costs its sender and each of its readers more than an event in it, and nobody waits for events: so a busy
family sends a few messages a second to each listener, whatever happens. What waits is in the family's state.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

from engines.model import Map, Ref, Send, SetTimer, Timer, Value

from .messages import Happened, HappenedTogether

Listener = Ref[Happened | HappenedTogether]

TELL: Final = Timer("tell")
GATHER_NS: Final = 250_000_000
GATHERED_MAX: Final = 256


class Told(NamedTuple):
    """What is sent now: events in their order, to each listener; the timer for what waits, if none is set; and agents
    whose views have changed."""

    sends: tuple[Any, ...] = ()
    timer: tuple[SetTimer, ...] = ()
    views: tuple[str, ...] = ()


class Untold(Value):
    """Events by number, and agents whose views have changed, which wait to be told; and when some were told last."""

    events: Map[int, Happened] = Map()
    views: Map[str, None] = Map()
    told_ns: int = 0

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits."""
        return not self.events and not self.views

    def overdue(self) -> Untold:
        """The timer has elapsed: what waits is told next, whatever the clock says, as no timer follows."""
        return Untold(self.events, self.views)

    def gathered(
        self, events: Sequence[Happened], views: Iterable[str], now_ns: int, listeners: Iterable[Listener]
    ) -> tuple[Untold, Told]:
        """With more; and what is told now: nothing, if that was done a moment ago."""
        after = self.views.updated((one, None) for one in views)
        if 0 <= now_ns - self.told_ns < GATHER_NS and len(self.events) + len(events) < GATHERED_MAX:
            waits = Untold(self.events.updated((one.number, one) for one in events), after, self.told_ns)
            is_first = self.is_empty and not waits.is_empty
            return waits, Told(timer=(SetTimer(TELL, at_ns=self.told_ns + GATHER_NS),) if is_first else ())
        told = (*self.events.values(), *events)
        message: Any = message_of(told) if told else None
        sends = tuple(Send(listener, message) for listener in listeners) if told else ()
        return Untold(told_ns=now_ns), Told(sends, views=tuple(after))


def message_of(events: tuple[Happened, ...]) -> Happened | HappenedTogether:
    """The message for listeners."""
    return events[0] if len(events) == 1 else HappenedTogether(events)


def events_in(message: Happened | HappenedTogether) -> tuple[Happened, ...]:
    """The events of a message, in their order."""
    return (message,) if isinstance(message, Happened) else message.events
