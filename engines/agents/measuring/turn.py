"""One transition of measurement, as a working copy: what an event or a log changes, and the facts that follow.

Facts for guards come from what was measured, never from what an agent claims. They are sent when they change.
"""

from __future__ import annotations

from typing import Any, Final

from msgspec.structs import replace

from engines.model import Become, Ref, Send, SetTimer, Timer

from ..bus import OPERATOR
from ..messages import Fact, FactsChanged, Happened, PromptWanted, ViewChanged
from ..protocol.model import Datum
from .counting import GONE, values_of
from .keeping import BLOCK_MAX
from .rollups import Series
from .session_records import LogRecord, Usage
from .state import Gauges, Made, Measuring
from .tracked import (
    CYCLES,
    STATES_MAX,
    VISITS_MAX,
    Cursor,
    FollowLog,
    Measured,
    Visit,
    cost_picos,
    cycle_of,
    used,
    window_of,
)

AGENTS_MAX: Final = 10_000
FILES_MAX: Final = 1_000
"""Files of an agent's log."""

TICK: Final = Timer("tick")
TICK_NS: Final = 60 * 10**9
COUNT_NS: Final = 10**9
"""Events are counted once in so long, while there are many: many values of a rollup cost little more than one."""

PROGRESS: Final = ("message.sent", "message.delivered", "changed", "commit")
"""Events after which a cycle of states is no loop."""

REGISTERED: Final = "session.registered"
"""The event that names the session log of an agent: attributes `transcript` and `program`."""

BEGUN: Final = "life.starting"
"""The event of a new session. If its attribute `resumed` is "True", the conversation of the last one goes on."""

USED: Final = ("resource", "custom")
"""Events that become facts."""

RESOURCES: Final = {
    "rss": ("rss", 1.0),
    "memory_bytes": ("rss", 1.0),
    "cpu_seconds": ("cpu_seconds", 1.0),
    "cpu_ns": ("cpu_seconds", 1e-9),
}
"""Attributes of the event `resource`: the fact that each becomes, and its factor."""


class MeasureTurn:
    """The working copy of one transition."""

    def __init__(self, gauges: Gauges, state: Measuring, now_ns: int, me: str) -> None:
        self.gauges, self.state, self.now_ns, self.me = gauges, state, now_ns, me
        self._sends: list[Any] = []
        self._values: list[tuple[Series, float, int]] = []
        self._seen: list[Happened] = []

    def change(self, **fields: Any) -> None:
        """Replaces fields of the state."""
        self.state = replace(self.state, **fields)

    def send(self, target: Ref[Any] | None, message: Any) -> None:
        """Sends, if there is somebody to send to."""
        if target is not None:
            self._sends.append(Send(target, message))

    def agent(self, name: str) -> Measured:
        """What is measured about an agent."""
        return self.state.agents.get(name) or Measured()

    def set_agent(self, name: str, measured: Measured) -> None:
        """Replaces what is measured about an agent; one too many is not taken."""
        known = self.state.agents.get(name)
        if known is not measured and (known is not None or len(self.state.agents) < AGENTS_MAX):
            self.change(agents=self.state.agents.set(name, measured))

    def record(self, agent: str, measure: str, value: float, time_ns: int, visit: Visit) -> None:
        """Adds a value to the rollups."""
        series = Series(agent, measure, visit.state, visit.protocol, visit.version)
        self._values.append((series, value, time_ns))

    def happen(self, kind: str, agent: str, *attributes: tuple[str, str], value: float | None = None) -> None:
        """Something was measured, or an agent claims something: the listeners are told."""
        if not self.gauges.listeners:
            return
        self.change(happened=self.state.happened + 1)
        measured = self.agent(agent)
        visit = measured.visit
        event = Happened(
            self.state.happened,
            self.now_ns,
            kind,
            agent,
            measured.session,
            visit.state,
            visit.number,
            visit.protocol,
            visit.version,
            value,
            attributes=attributes,
            source="agent" if kind == "custom" else "engine",
            confidence="claimed" if kind == "custom" else "derived",
        )
        for listener in self.gauges.listeners:
            self.send(listener, event)

    # --- events -------------------------------------------------------------------------------------------------------

    def see(self, event: Happened) -> None:
        """Takes an event to be counted, and follows the agent's states and sessions."""
        self._seen.append(event)
        if event.agent in ("", OPERATOR):
            return
        if event.kind in GONE:
            self.change(agents=self.state.agents.without(event.agent))
            return
        measured = known = self.agent(event.agent)
        if event.session > measured.session:
            measured = replace(measured, session=event.session)
        if event.kind == BEGUN and dict(event.attributes).get("resumed") != "True":
            measured = replace(measured, in_session=0, tokens=measured.tokens.begun_anew())
        if event.visit > measured.visit.number:
            measured = self._enter(event, measured)
        if measured.path and event.kind in PROGRESS:
            measured = replace(measured, path=())
        if event.kind == REGISTERED:
            about = dict(event.attributes)
            measured = replace(
                measured, log=about.get("transcript", ""), program=about.get("program", "") or self.gauges.program
            )
        self.set_agent(event.agent, measured)
        if event.kind == REGISTERED:
            self.follow(event.agent)
        if event.kind in USED and event.source != "agent" and event.confidence != "claimed":
            self._use(event)
        if measured is not known:
            self.tell(event.agent)

    def _enter(self, event: Happened, measured: Measured) -> Measured:
        """The agent is in another state, or in the same one anew; it may go round in circles."""
        before = measured.visit
        if before.number:
            self.record(event.agent, "time_in_state_ns", event.time_ns - before.begin_ns, event.time_ns, before)
        visit = Visit(event.time_ns, event.state, event.visit, event.protocol, event.version)
        path = (*measured.path, event.state)[-STATES_MAX:]
        if cycle := cycle_of(path):
            self.alarm(event.agent, "loop", f"you went {CYCLES} times through {' → '.join(cycle)} without progress")
            path = ()
        return replace(measured, visits=(*measured.visits, visit)[-VISITS_MAX:], in_state=0, path=path)

    def alarm(self, agent: str, code: str, text: str) -> None:
        """Something looks wrong: an event, and a prompt for the agent."""
        self.happen("alarm", agent, ("code", code), ("text", text))
        self.send(self.gauges.orchestrator, PromptWanted(agent, "alarm", text[0].upper() + text[1:] + "."))

    def _use(self, event: Happened) -> None:
        """Resources of the agent's processes become facts, and what the engine measures for a protocol, by its id."""
        facts: dict[str, Datum] = {}
        for name, text in event.attributes if event.kind == "resource" else ():
            if name in RESOURCES and (number := _number(text)) is not None:
                fact, factor = RESOURCES[name]
                facts[f"measure.{fact}"] = int(number) if fact == "rss" else number * factor
                self.record(
                    event.agent, f"resource.{fact}", number * factor, event.time_ns, self.agent(event.agent).visit
                )
        if event.kind == "custom" and (name := dict(event.attributes).get("id", "")):
            before = self.agent(event.agent).facts.get(f"measure.{name}", 0)
            count = before + 1 if isinstance(before, int) else 1
            facts[f"measure.{name}"] = count if event.value is None else event.value
        self.learn(event.agent, facts)

    # --- tokens -------------------------------------------------------------------------------------------------------

    def count(self, agent: str, record: LogRecord) -> None:
        """Counts a record of the agent's log."""
        measured = self.agent(agent)
        tokens, added = measured.tokens.add(record)
        visit = measured.visit_at(record.time_ns)
        time_ns = record.time_ns or self.now_ns
        for measure, value in parts_of(added):
            self.record(agent, measure, value, time_ns, visit)
        if errors := tokens.tool_errors - measured.tokens.tool_errors:
            self.record(agent, "tool_errors", errors, time_ns, visit)
        is_now = visit.number == measured.visit.number
        after = replace(
            measured,
            tokens=tokens,
            in_state=measured.in_state + (used(added) if is_now else 0),
            in_session=measured.in_session + used(added),
            cost_picos=measured.cost_picos + cost_picos(self.gauges.prices, record.model, added),
        )
        self.set_agent(agent, after)

    def follow(self, agent: str) -> None:
        """Orders the agent's log to be read, from where it was read to."""
        measured = self.agent(agent)
        if not measured.log or self.gauges.logs is None:
            return
        cursors = tuple(Cursor(identity, offset) for identity, offset in measured.cursors.items())
        self.send(self.gauges.logs, FollowLog(agent, measured.log, measured.program, cursors, Ref(self.me)))

    # --- facts --------------------------------------------------------------------------------------------------------

    def tell(self, agent: str) -> None:
        """Sends the facts about an agent that have changed."""
        self.learn(agent, facts_of(self.agent(agent), self.gauges))

    def learn(self, agent: str, facts: dict[str, Datum]) -> None:
        """Keeps facts, and sends those that have changed."""
        measured = self.agent(agent)
        new = {name: value for name, value in sorted(facts.items()) if measured.facts.get(name) != value}
        if not new:
            return
        self.set_agent(agent, replace(measured, facts=measured.facts.updated(new)))
        changed = FactsChanged(agent, tuple(Fact(name, value) for name, value in new.items()))
        self.send(self.gauges.validator, changed)
        self.send(self.gauges.orchestrator, changed)
        self.change(views=self.state.views + 1)
        fields = tuple((name.removeprefix("measure."), str(value)) for name, value in new.items())
        self.send(self.gauges.bridge, ViewChanged(agent, self.state.views, fields))

    def count_events(self) -> None:
        """Adds the events to the rollups that are in none."""
        shelf, events = self.state.shelf.counted(self.now_ns)
        self.change(shelf=shelf, rollups=self.state.rollups.add(values_of(events), self.now_ns))

    def _take_events(self) -> None:
        shelf = self.state.shelf.with_events(self._seen)
        self.change(events=self.state.events + len(self._seen), shelf=shelf)
        is_full = len(shelf.events) >= BLOCK_MAX
        if is_full or not 0 <= self.now_ns - shelf.counted_ns < COUNT_NS:
            self.count_events()
        if is_full:
            self.change(shelf=self.state.shelf.with_block())

    def effects(self) -> Made:
        """State: as it is now. Messages: those listed. Timers: the next tick. Engines: none."""
        if self._values:
            self.change(rollups=self.state.rollups.add(self._values, self.now_ns))
        if self._seen:
            self._take_events()
        if self.state.is_ticking:
            return [Become(self.state), *self._sends]
        self.change(is_ticking=True)
        return [Become(self.state), SetTimer(TICK, after_ns=TICK_NS), *self._sends]


def facts_of(measured: Measured, gauges: Gauges) -> dict[str, Datum]:
    """The facts that the tokens of an agent give. A fact is left out as long as nothing is known."""
    tokens = measured.tokens
    if not measured.log and not tokens.total.context and not tokens.total.output:
        return {}
    facts: dict[str, Datum] = {
        "measure.tokens_in_state": measured.in_state,
        "measure.tokens_in_session": measured.in_session,
        "measure.tool_errors": tokens.tool_errors,
        "measure.context_tokens": tokens.context.tokens if tokens.context else 0,
    }
    if gauges.prices:
        facts["measure.cost"] = measured.cost_picos / 1e12
    model = tokens.context.model if tokens.context else ""
    window = window_of(gauges.windows, model)
    if tokens.context is None:
        facts["measure.context_percent"] = 0
    elif window:
        facts["measure.context_percent"] = round(100 * tokens.context.tokens / window, 2)
    return facts


def parts_of(usage: Usage) -> list[tuple[str, int]]:
    """The measures of tokens, without those of 0."""
    parts = [
        ("tokens.input", usage.input),
        ("tokens.cache_read", usage.cache_read),
        ("tokens.cache_write", usage.cache_write),
        ("tokens.output", usage.output),
    ]
    return [one for one in parts if one[1]]


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if 0 <= value < 1e18 else None
