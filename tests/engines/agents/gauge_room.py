"""Measurement with its surroundings, for tests: events come in, and a key-value store (its twin) answers."""

from __future__ import annotations

import json
from typing import Any

from engines.agents.measuring.keeping import Kept, read_block, read_kept
from engines.agents.measuring.measurement import MEASUREMENT
from engines.agents.measuring.session_records import LogRecord
from engines.agents.measuring.state import Gauges, Measuring
from engines.agents.measuring.tracked import LogRead, Price, Window
from engines.agents.messages import AgentAnswer, AgentRequest, FactsChanged, Happened
from engines.devices.key_value import ChangeValues, ScanValues, ValueRefused, respond
from engines.devices.tables import MapTable
from engines.model import Committed, Configuration, Delivery, Due, Map, Outgoing, Ref, birth, due_timers, step

SECOND_NS = 10**9
MINUTE_NS = 60 * SECOND_NS
GAUGES = Gauges(
    Ref("validator"),
    Ref("orchestrator"),
    Ref("bridge"),
    (Ref("log"),),
    Ref("store"),
    Ref("logs"),
    (Window("claude", 200_000), Window("claude-big", 1_000_000)),
    (Price("claude", 3_000_000, 300_000, 3_750_000, 15_000_000),),
)


class GaugeRoom:
    """Measurement and the time."""

    def __init__(self, gauges: Gauges = GAUGES) -> None:
        self.me = Configuration("test", "measurement", None, gauges)
        self.now_ns = 1_700_000_040 * SECOND_NS
        self.env = birth(MEASUREMENT, self.me, now_ns=self.now_ns)
        self.sent: list[Any] = []
        self.store: Map[bytes, bytes] = Map()
        self.is_full = False
        self.numbers: dict[str, int] = {}

    @property
    def state(self) -> Measuring:
        state: Measuring = self.env.state
        return state

    def take(self, message: Any, sender: str = "bridge") -> list[Any]:
        """What measurement sends at a message; what it orders of the store is done."""
        return self._done(step(MEASUREMENT, self.me, self.env, Delivery(sender, 0, message), now_ns=self.now_ns))

    def _done(self, outcome: Any) -> list[Any]:
        assert isinstance(outcome, Committed), outcome
        self.env = outcome.env
        made = [one.message for one in outcome.outputs if isinstance(one, Outgoing)]
        self.sent += made
        for order in made:
            if isinstance(order, ChangeValues | ScanValues):
                self._store(order)
        return made

    def _store(self, order: ChangeValues | ScanValues) -> None:
        if self.is_full:
            self.take(ValueRefused("full", "the table is full", order.request), "store")
            return
        table = MapTable(self.store)
        answer = respond(order, table, self.now_ns)
        self.store = table.values
        self.take(answer, "store")

    def happen(self, kind: str, agent: str = "ann", sender: str = "validator", **more: Any) -> list[Any]:
        """An event of a family."""
        self.numbers[sender] = more.pop("number", self.numbers.get(sender, 0) + 1)
        time_ns = more.pop("time_ns", self.now_ns)
        about = {"session": 1, "state": "inbox", "visit": 1, "protocol": "work", "version": "1.0.0"} | more
        return self.take(Happened(self.numbers[sender], time_ns, kind, agent, **about), sender)

    def read(self, *records: LogRecord, agent: str = "ann", file: str = "a", offset: int | None = None) -> None:
        """Records of a session log."""
        known = self.state.agents[agent].cursors.get(file, 0) if agent in self.state.agents else 0
        begin = known if offset is None else offset
        self.take(LogRead(agent, file, file, begin, begin + 100 * len(records), records), "logs")

    def ask(self, op: str, agent: str = "ann", actor: Any = "agent", request_id: str = "r", **body: Any) -> Any:
        """The answer to a request."""
        request = AgentRequest(agent, 1, request_id, f"measure.{op}", json.dumps(body), actor, Ref("bridge"))
        [answer] = [one for one in self.take(request) if isinstance(one, AgentAnswer)]
        return json.loads(answer.text)

    def wait(self, ns: int) -> None:
        """Lets time pass."""
        end_ns = self.now_ns + ns
        while timers := [one for one in self.env.timers.values() if one.deadline_ns <= end_ns]:
            self.now_ns = max(self.now_ns, min(one.deadline_ns for one in timers))
            due = Due(due_timers(self.env, self.now_ns))
            self._done(step(MEASUREMENT, self.me, self.env, due, now_ns=self.now_ns))
        self.now_ns = end_ns

    def facts(self, agent: str = "ann") -> dict[str, Any]:
        """The facts that the validator was sent, the newest of each name."""
        found = {}
        for one in self.sent:
            if isinstance(one, FactsChanged) and one.agent == agent:
                found.update({fact.name.removeprefix("measure."): fact.value for fact in one.facts})
        return found

    def kept(self, length_ns: int) -> list[Kept]:
        """The rollups of a length on the disk."""
        every = [read_kept(value) for key, value in self.store.items() if key[:1] == b"r"]
        return [one for one in every if one.bucket.length_ns == length_ns]

    def events(self) -> list[Happened]:
        """The events on the disk."""
        blocks = [read_block(value) for key, value in self.store.items() if key[:1] == b"e"]
        return [event for block in blocks for event in block.events]
