"""From the moments of several sources to a chart.

Order: moments of a source keep theirs, a sending comes before its taking, a spawn before the birth. Among moments that
may come next, the earliest by (time, engine, source) does, so the same sources always give the same chart. Clocks only
break ties: a receiver whose clock is behind its sender's still comes after it.

The awkward case: sources that contradict each other (logs of which one was replaced by an old copy) may have a circle.
Then the earliest moment goes first, although something before it is left.

A message taken whose sending is not there came from outside, from a volatile engine, or was sent before the sources
begin: its arrow begins at the sender's name. One sent whose taking is not there is drawn where it was sent.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Sequence

from host.chart.model import Arrow, Chart, ChartEvent, Fate, participants_of
from host.chart.moments import MessageId, Moment, Sending, Source

Place = tuple[int, int]
"""A moment: the number of its source, and its index there."""
Way = tuple[str, str, int, int]


class Sendings:
    """Where each message was sent."""

    def __init__(self, sources: Sequence[Source]) -> None:
        self._places: dict[Way, dict[int, Place]] = {}
        for number, source in enumerate(sources):
            for index, moment in enumerate(source.moments):
                for sending in moment.sent:
                    self._places.setdefault(_way(sending.id), {})[sending.id.epoch] = (number, index)

    def place(self, id: MessageId) -> Place | None:
        """Where a message was sent. What is sent again after a recovery has a later epoch, and its old number."""
        epochs = self._places.get(_way(id), {})
        if id.epoch in epochs:
            return epochs[id.epoch]
        earlier = [epoch for epoch in epochs if epoch < id.epoch]
        return epochs[max(earlier)] if earlier else None


def join(sources: Sequence[Source], notes: Sequence[str] = ()) -> Chart:
    """The chart of these sources."""
    sendings = Sendings(sources)
    before = _edges(sources, sendings)
    taken = {place_id for source in sources for place_id in _taken(source, sendings)}
    fates = _Fates(sources)
    events: list[ChartEvent] = []
    for number, index in ordered(sources, before):
        moment = sources[number].moments[index]
        unseen = [sending for sending in moment.sent if (number, index, _way(sending.id)) not in taken]
        events += _events(moment, [fates.arrow(sending, moment) for sending in unseen])
    inside = [name for source in sources for name in source.engines]
    inside += [one.child for source in sources for moment in source.moments for one in moment.spawned]
    return Chart(participants_of(events, inside), tuple(events), tuple(notes))


def ordered(sources: Sequence[Source], before: dict[Place, set[Place]]) -> Iterator[Place]:
    """All moments, each after those it has to come after (`before`) where that is possible."""
    after: dict[Place, list[Place]] = {}
    for place, earlier in before.items():
        for one in earlier:
            after.setdefault(one, []).append(place)
    missing = {place: len(earlier) for place, earlier in before.items()}
    heads = {number: 0 for number, source in enumerate(sources) if source.moments}
    ready = [_key(sources, (number, 0)) for number in heads if not missing.get((number, 0))]
    heapq.heapify(ready)
    while heads:
        if not ready:
            ready.append(min(_key(sources, (number, index)) for number, index in heads.items()))
        *_, number, index = heapq.heappop(ready)
        yield number, index
        if index + 1 < len(sources[number].moments):
            heads[number] = index + 1
            if not missing.get((number, index + 1)):
                heapq.heappush(ready, _key(sources, (number, index + 1)))
        else:
            del heads[number]
        for place in after.get((number, index), ()):
            missing[place] -= 1
            if not missing[place] and heads.get(place[0]) == place[1]:
                heapq.heappush(ready, _key(sources, place))


def _key(sources: Sequence[Source], place: Place) -> tuple[int, str, str, int, int]:
    number, index = place
    moment = sources[number].moments[index]
    return (moment.time_ns, moment.engine, sources[number].name, number, index)


def _edges(sources: Sequence[Source], sendings: Sendings) -> dict[Place, set[Place]]:
    """For each moment those of other sources that come before it."""
    spawns = {
        spawning.child: (number, index)
        for number, source in enumerate(sources)
        for index, moment in enumerate(source.moments)
        for spawning in moment.spawned
    }
    before: dict[Place, set[Place]] = {}
    for number, source in enumerate(sources):
        for index, moment in enumerate(source.moments):
            sent = None if moment.took is None else sendings.place(moment.took.id)
            spawned = spawns.get(moment.engine) if moment.is_birth else None
            found = {place for place in (sent, spawned) if place is not None and place[0] != number}
            if found:
                before[number, index] = found
    return before


def _taken(source: Source, sendings: Sendings) -> Iterator[tuple[int, int, Way]]:
    for moment in source.moments:
        if moment.took is not None and (place := sendings.place(moment.took.id)) is not None:
            yield (*place, _way(moment.took.id))


def _events(moment: Moment, unseen: Iterable[Arrow]) -> Iterator[ChartEvent]:
    took = moment.took
    if took is not None:
        yield Arrow(moment.time_ns, took.id.sender, moment.engine, took.label, took.fate, took.detail)
    yield from moment.marks
    yield from unseen
    for spawning in moment.spawned:
        yield Arrow(moment.time_ns, moment.engine, spawning.child, spawning.label, "spawn")
    yield from moment.after


class _Fates:
    """What became of messages that nobody took, as far as the sources tell."""

    def __init__(self, sources: Sequence[Source]) -> None:
        self._homes = {name: source for source in sources for name in source.engines}
        self._ended = {moment.engine for source in sources for moment in source.moments if moment.is_end}
        self._waiting: dict[Way, list[range]] = {}
        for source in sources:
            for first, count in source.waiting:
                self._waiting.setdefault(_stream(first), []).append(range(first.n, first.n + count))

    def arrow(self, sending: Sending, moment: Moment) -> Arrow:
        """A message, drawn where it was sent."""
        id, target = sending.id, sending.id.target
        fate: Fate = "sent"
        detail = ""
        home = self._homes.get(target)
        if any(id.n in waiting for waiting in self._waiting.get(_stream(id), ())):
            fate = "waiting"
        elif home is not None and home.complete_from_ns is not None and home.complete_from_ns <= moment.time_ns:
            fate, detail = "lost", f"{target} ended first" if target in self._ended else ""
        return Arrow(moment.time_ns, id.sender, target, sending.label, fate, detail)


def _way(id: MessageId) -> Way:
    """A message but for its epoch."""
    return (id.sender, id.target, id.mailbox, id.n)


def _stream(id: MessageId) -> Way:
    """The stream of a message."""
    return (id.sender, id.target, id.mailbox, id.epoch)
