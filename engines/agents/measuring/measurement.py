"""Measurement: it listens to what happens, and to session logs; nobody waits for it.

Events become rollups by minute, hour and day (`engines/agents/measuring/rollups.py`), which go to a key-value store
once they are closed, with the events themselves in blocks (`engines/agents/measuring/keeping.py`). Session logs become
token counts, each message once (`engines/agents/measuring/tokens.py`). What guards may know becomes facts for
validator and orchestrator.

Each family numbers its events without gaps. A number that is left out is a *gap*, which is recorded; a number that was
seen is a repeat, which is ignored. A device numbers anew after a restart, from 1.

Crash points: none is special. The position in each log is in the same state as what was read from it. A write to the
store that was not confirmed is made again, with the same key and value.
"""

from __future__ import annotations

from typing import Any, Final, TypeAlias

from msgspec.structs import replace

from engines.devices.key_value import (
    Change,
    ChangeValues,
    ScanValues,
    ValueRefused,
    ValuesChanged,
    ValuesScanned,
)
from engines.model import Arrived, Box, Elapsed, Family, Handle, Map, Ref, rule

from ..messages import (
    AgentMoved,
    AgentRequest,
    Happened,
    HappenedTogether,
    ProtocolChanged,
    Resend,
    Retire,
    ViewChanged,
)
from ..protocol.parse import parse
from .keeping import PREFIXES, WRITE_MAX, entry_of, is_too_old
from .reports import answer_request
from .state import Gap, Gauges, Made, Measuring, Outward, Rules
from .tracked import LogRead, LogsNeeded
from .turn import TICK, MeasureTurn

GAPS_MAX: Final = 100
FILES_MAX: Final = 200
SWEEP_MAX: Final = 1_000
INTACT: Final = "measure.log_intact"
"""Whether the session log can be read: an agent is not resumed from one that cannot."""

Any_: TypeAlias = Arrived[Any, Gauges, Measuring] | Elapsed[Gauges, Measuring]


def _turn(t: Any_) -> MeasureTurn:
    return MeasureTurn(t.config, t.env.state, t.now_ns, t.me.name)


@rule
def observe(event: Happened, t: Arrived[Happened, Gauges, Measuring]) -> Made:
    """State: the event is counted, or known as a repeat. Messages: facts, alarms. Timers: the tick. Engines: none."""
    return _observed(t, (event,))


@rule
def observe_together(message: HappenedTogether, t: Arrived[HappenedTogether, Gauges, Measuring]) -> Made:
    """As `observe`, for each event."""
    return _observed(t, message.events)


def _observed(t: Arrived[Any, Gauges, Measuring], events: tuple[Happened, ...]) -> Made:
    turn = _turn(t)
    last = turn.state.seen.get(t.sender, 0)
    for event in events:
        if event.number == 1:
            last = 0
        if event.number <= last:
            continue
        if event.number > last + 1:
            _miss(turn, Gap(t.sender, last + 1, event.number - 1))
        last = event.number
        turn.see(event)
    turn.change(seen=turn.state.seen.set(t.sender, last))
    return turn.effects()


def _miss(turn: MeasureTurn, gap: Gap) -> None:
    gaps = (*turn.state.gaps, gap)[-GAPS_MAX:]
    turn.change(gaps=gaps, missed=turn.state.missed + gap.last - gap.first + 1)
    turn.happen("gap", "", ("family", gap.sender), ("first", str(gap.first)), ("last", str(gap.last)))


@rule
def serve(request: AgentRequest, t: Arrived[AgentRequest, Gauges, Measuring]) -> Made:
    """State: what an agent records. Messages: the answer, to the bridge. Timers: the tick. Engines: none."""
    turn = _turn(t)
    turn.count_events()
    turn.send(request.reply_to, answer_request(turn, request))
    return turn.effects()


@rule
def read_log(read: LogRead, t: Arrived[LogRead, Gauges, Measuring]) -> Made:
    """State: the records are counted, unless they were, and the position moves on. Messages: facts; where to read, if
    something was left out. Timers: the tick. Engines: none."""
    turn = _turn(t)
    measured = turn.agent(read.agent)
    if read.problem:
        turn.learn(read.agent, {INTACT: False})
        turn.happen("alarm", read.agent, ("code", "session_log"), ("text", read.problem[:500]))
        return turn.effects()
    offset = measured.cursors.get(read.identity, 0)
    if read.offset > offset:
        turn.follow(read.agent)
        return turn.effects()
    if read.following <= offset and not read.is_anew:
        return []
    for record in read.records:  # those that were counted before add nothing
        turn.count(read.agent, record)
    measured = turn.agent(read.agent)
    cursors = measured.cursors.set(read.identity, read.following)
    if len(cursors) > FILES_MAX:
        cursors = cursors.without(next(one for one in cursors if one != read.identity))
    turn.set_agent(read.agent, replace(measured, cursors=cursors))
    if measured.facts.get(INTACT) is False:
        turn.learn(read.agent, {INTACT: True})
    turn.tell(read.agent)
    return turn.effects()


@rule
def follow_again(_needed: LogsNeeded, t: Arrived[LogsNeeded, Gauges, Measuring]) -> Made:
    """State: none. Messages: an order for each log. Timers: the tick. Engines: none."""
    turn = _turn(t)
    for agent in turn.state.agents:
        turn.follow(agent)
    return turn.effects()


@rule
def move(moved: AgentMoved, t: Arrived[AgentMoved, Gauges, Measuring]) -> Made:
    """State: the role of the agent. Messages: none. Timers: the tick. Engines: none."""
    turn = _turn(t)
    turn.set_agent(moved.agent, replace(turn.agent(moved.agent), role=moved.role, digest=moved.digest))
    return turn.effects()


@rule
def learn(changed: ProtocolChanged, t: Arrived[ProtocolChanged, Gauges, Measuring]) -> Made:
    """State: what the protocol says about measuring. Messages, timers, engines: none."""
    if changed.digest in t.env.state.rules:
        return []
    protocol = parse(changed.source).protocol
    declared = Map((one.id, one) for one in protocol.measurements)
    viewers = tuple(one.id for one in protocol.roles if "measure:system" in one.may or "read:peers" in one.may)
    return replace(t.env.state, rules=t.env.state.rules.set(changed.digest, Rules(declared, viewers)))


@rule
def remove_agent(order: Retire, t: Arrived[Retire, Gauges, Measuring]) -> Made:
    """State: without the agent; its rollups stay. Messages, timers, engines: none."""
    return replace(t.env.state, agents=t.env.state.agents.without(order.agent))


@rule
def resend(_order: Resend, t: Arrived[Resend, Gauges, Measuring]) -> Made:
    """State: a number more. Messages: the view of each agent. Timers: the tick. Engines: none."""
    turn = _turn(t)
    turn.change(views=turn.state.views + 1)
    for agent, measured in turn.state.agents.items():
        fields = tuple((name.removeprefix("measure."), str(value)) for name, value in measured.facts.items())
        if fields:
            turn.send(turn.gauges.bridge, ViewChanged(agent, turn.state.views, fields))
    return turn.effects()


# --- the disk ---------------------------------------------------------------------------------------------------------


@rule(timer=TICK)
def tick(_tick: Handle, t: Elapsed[Gauges, Measuring]) -> Made:
    """State: rollups that are closed wait to be written. Messages: a write, a scan for what is too old. Timers: the
    next tick. Engines: none."""
    turn = _turn(t)
    turn.count_events()
    rollups, closed = turn.state.rollups.close(t.now_ns)
    turn.change(rollups=rollups)
    if turn.gauges.store is not None:
        turn.change(shelf=turn.state.shelf.with_block().with_entries(entry_of(*one) for one in closed))
        _write(turn)
        _sweep(turn, turn.state.shelf.sweep)
    else:
        turn.change(shelf=replace(turn.state.shelf, events=Map(), waiting=Map()))
    turn.change(is_ticking=False)
    return turn.effects()


def _write(turn: MeasureTurn) -> None:
    """Writes what waits, as much as one order takes."""
    shelf = turn.state.shelf
    keys = shelf.waiting.keys()[:WRITE_MAX]
    if not keys:
        return
    changes = tuple(Change(key, shelf.waiting[key]) for key in keys)
    turn.change(shelf=replace(shelf, under_way=tuple(keys), request=shelf.request + 1))
    turn.send(turn.gauges.store, ChangeValues(changes, Ref(turn.me), shelf.request + 1))


def _sweep(turn: MeasureTurn, sweep: int) -> None:
    """Looks at the oldest entries of one kind; each tick at the next kind."""
    prefix = PREFIXES[sweep % len(PREFIXES)]
    turn.change(shelf=replace(turn.state.shelf, sweep=(sweep + 1) % len(PREFIXES)))
    turn.send(turn.gauges.store, ScanValues(prefix, Ref(turn.me), count=SWEEP_MAX, request=-1 - sweep))


@rule
def wrote(answer: ValuesChanged, t: Arrived[ValuesChanged, Gauges, Measuring]) -> Made:
    """State: without what is written. Messages: the next write, if more waits. Timers: the tick. Engines: none."""
    turn = _turn(t)
    if answer.request > 0:
        turn.change(shelf=turn.state.shelf.written(answer.request))
        _write(turn)
    return turn.effects()


@rule
def swept(answer: ValuesScanned, t: Arrived[ValuesScanned, Gauges, Measuring]) -> Made:
    """State: none. Messages: to delete what is too old; and to look for more, if all was. Timers: the tick.
    Engines: none."""
    turn = _turn(t)
    old = tuple(Change(one.key, None) for one in answer.entries if is_too_old(one.key, t.now_ns))
    if old:
        turn.send(turn.gauges.store, ChangeValues(old, Ref(turn.me), 0))
        if len(old) == len(answer.entries) and answer.following:
            _sweep(turn, -1 - answer.request)
    return turn.effects()


@rule
def store_is_full(answer: ValueRefused, t: Arrived[ValueRefused, Gauges, Measuring]) -> Made:
    """State: none; what waits is written at the next tick. Messages: an event that says so. Timers: the tick. Engines:
    none."""
    turn = _turn(t)
    turn.happen("alarm", "", ("code", "storage_full"), ("text", answer.detail[:500]))
    return turn.effects()


Inward: TypeAlias = (
    Happened
    | HappenedTogether
    | AgentRequest
    | LogRead
    | LogsNeeded
    | AgentMoved
    | ProtocolChanged
    | Retire
    | Resend
    | ValuesChanged
    | ValuesScanned
    | ValueRefused
)
MAIL: Final = Box(0, accepts=Inward, lossy=True)
"""The node file may let it drop the oldest mail, so that nobody waits for measurement: events that are lost are a gap,
requests and logs come again.
"""

MEASUREMENT = Family(
    "measurement",
    config=Gauges,
    state=Measuring(),
    accepts=Inward,
    emits=Outward,
    boxes=[MAIL],
    timers=[TICK],
).rules(
    observe,
    observe_together,
    serve,
    read_log,
    follow_again,
    move,
    learn,
    remove_agent,
    resend,
    tick,
    wrote,
    swept,
    store_is_full,
)
