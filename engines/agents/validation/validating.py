"""One transition of the validator as a working copy.

A `Validation` is made from the state when a message arrives or the timer elapses. Its operations replace `state` and
list what is sent; `effects` gives both. It lives for one transition.

After each commit the engine's transitions of that agent are looked at again, also those on messages that wait already,
and, where the number of agents in states matters to some, those of all agents whose engine moves by it. Time alone only
triggers timeouts, reminders and the end of waiting: a guard on `elapsed` or `time` is looked at when something else
happens.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeAlias

from msgspec.structs import replace

from engines.model import Become, Config, Effects, Ref, Send, SetTimer, Timer

from ..answers import NO_ANSWERS
from ..envelope import Frame, Json, failed, succeeded
from ..messages import (
    AgentAnswer,
    AgentMoved,
    AgentRequest,
    Enrolled,
    Happened,
    HappenedTogether,
    PromptWanted,
    ProtocolChanged,
    SendFor,
    Together,
    ViewChanged,
)
from ..protocol.decide import due_move, in_system, moves_by_engine
from ..protocol.decide_record import Record
from ..protocol.decide_values import Intent, Move
from ..protocol.model import Datum, Protocol
from ..together import together
from .news import about_change, frame_of, moved_message, view_of
from .records import NEVER_NS, Held, Registered, Registry, armed, counted

ENGINE_MOVES_MAX: Final = 16
"""Moves of the engine for one agent in one transition; more is a protocol that never rests."""

LOOK: Final = Timer("look")


class Wiring(Config):
    """Where the validator's messages go. `listeners` get everything that happened."""

    router: Ref[AgentMoved | ProtocolChanged | SendFor | Together] | None = None
    orchestrator: Ref[AgentMoved | ProtocolChanged | PromptWanted | Together] | None = None
    bridge: Ref[ViewChanged | Together] | None = None
    listeners: tuple[Ref[Happened | HappenedTogether], ...] = ()
    measurement: Ref[AgentMoved | ProtocolChanged] | None = None


Outward: TypeAlias = (
    AgentAnswer
    | AgentMoved
    | ProtocolChanged
    | SendFor
    | PromptWanted
    | ViewChanged
    | Happened
    | HappenedTogether
    | Enrolled
    | Together
)
Made: TypeAlias = Effects[Registry, Outward]


class Validation:
    """The working copy of one transition."""

    def __init__(self, wiring: Wiring, state: Registry, now_ns: int) -> None:
        self.wiring, self.state, self.now_ns = wiring, state, now_ns
        self._sends: list[Any] = []
        self._timer: list[SetTimer] = []
        self._events: list[Happened] = []

    def change(self, **fields: Any) -> None:
        """Replaces fields of the state."""
        self.state = replace(self.state, **fields)

    def held(self, agent: str) -> Held:
        """What is held of an agent. Raises KeyError for one without a record."""
        return self.state.agents[agent]

    def hold(self, agent: str, held: Held) -> None:
        """Replaces what is held of an agent, and sees to the timer."""
        self.change(agents=self.state.agents.set(agent, held))
        self.look_at(held.due_ns)

    def version_of(self, record: Record) -> Registered:
        """The version that an agent follows."""
        return self.state.versions[record.digest]

    def protocol_of(self, record: Record) -> Protocol:
        """The protocol that an agent follows."""
        return self.version_of(record).protocol

    def facts(self, agent: str) -> Mapping[str, Datum]:
        """What is known about an agent from others, and how many peers are in the states that its guards name."""
        held = self.held(agent)
        peers = self.version_of(held.record).peers
        counts = {
            f"peers.count({role},{state})": self.state.population.get(f"{role},{state}", 0) for role, state in peers
        }
        return {**dict(held.facts.items()), **counts}

    # --- changes ------------------------------------------------------------------------------------------------------

    def commit(self, agent: str, move: Move, request_id: str = "") -> None:
        """An agent's move: its record is replaced, and everybody told. Then what the engine does next."""
        self._commit(agent, move.record, move.intents, request_id)
        for alarm in move.alarms:
            self.alarm(agent, alarm)
        self.look_again(agent, *self._waiting_events(agent))

    def _waiting_events(self, agent: str) -> list[str]:
        """Events of messages that wait already: an agent that comes to wait for one does not wait for the next."""
        facts = self.held(agent).facts
        counts = {name: value for name, value in facts.items() if name.startswith("inbox.of_type(") and value}
        types = [name.removeprefix("inbox.of_type(").removesuffix(")") for name in counts]
        return [*types, *(["message"] if facts.get("inbox.unread") else [])]

    def enter(self, agent: str, state: str, reason: str, actor: Any = "engine") -> None:
        """An agent goes to a system state, or back with ""."""
        record = self.held(agent).record
        if record.system == state:
            return
        self._commit(agent, in_system(record, state, reason, self.now_ns, actor), (), "")
        self.look_again(agent)

    def look_again(self, agent: str, *events: str) -> None:
        """Makes the engine's moves that are due for this agent, and for those that wait for the number of others."""
        self._engine_moves(agent, events)
        if any(one.moves_by_peers for one in self.state.versions.values()):
            for name, held in self.state.agents.items():
                if name != agent and self.version_of(held.record).moves_by_peers:
                    self._engine_moves(name, ())

    def _engine_moves(self, agent: str, events: tuple[str, ...]) -> None:
        for _ in range(ENGINE_MOVES_MAX):
            record = self.held(agent).record
            if not moves_by_engine(self.protocol_of(record), record):
                return
            move = due_move(self.protocol_of(record), record, self.facts(agent), self.now_ns, events)
            if move is None:
                return
            events = ()
            self._commit(agent, move.record, move.intents, "")
            for alarm in move.alarms:
                self.alarm(agent, alarm)
        self.alarm(agent, f"the engine made {ENGINE_MOVES_MAX} moves at once; the next is left for later")

    def _commit(self, agent: str, record: Record, intents: tuple[Intent, ...], request_id: str) -> None:
        held = self.held(agent)
        before = held.record
        if before.shown != record.shown:
            self.change(population=counted(counted(self.state.population, before, -1), record, 1))
        protocol = self.protocol_of(record)
        self.hold(agent, armed(replace(held, record=record), protocol, self.now_ns))
        self.tell_moved(agent, before, intents)
        self.happen(
            "transition" if before.shown != record.shown else "changed", agent, *about_change(record, request_id)
        )
        self._perform(agent, intents, request_id)

    def tell_moved(self, agent: str, before: Record, intents: tuple[Intent, ...] = ()) -> None:
        """Router, orchestrator and bridge get the agent's state."""
        record = self.held(agent).record
        moved = moved_message(self.protocol_of(record), record, before, intents)
        is_known = before.visit and (before.role, before.digest) == (record.role, record.digest)
        measurement = None if is_known else self.wiring.measurement
        for target in (self.wiring.router, self.wiring.orchestrator, measurement):
            if target is not None:
                self._sends.append(Send(target, moved))
        self.send_view(agent)

    def _perform(self, agent: str, intents: tuple[Intent, ...], request_id: str) -> None:
        record = self.held(agent).record
        for one in intents:
            if one.kind == "send" and self.wiring.router is not None:
                self._sends.append(
                    Send(self.wiring.router, SendFor(agent, request_id, one.argument, one.to, one.fields))
                )
            elif one.kind == "notify" and self.wiring.router is not None:
                text = f"{agent} is in '{record.shown}' now, after '{record.last}'."
                notice = SendFor(agent, request_id, "system", one.argument, (("text", text),))
                self._sends.append(Send(self.wiring.router, notice))
            elif one.kind == "measure":
                self.happen("custom", agent, ("id", one.argument))

    # --- what goes out ------------------------------------------------------------------------------------------------

    def send(self, target: Ref[Any] | None, message: Any) -> None:
        """Sends a message, if somebody is there for it."""
        if target is not None:
            self._sends.append(Send(target, message))

    def send_view(self, agent: str) -> None:
        """The bridge gets the view of an agent."""
        if self.wiring.bridge is None:
            return
        self._sends.append(Send(self.wiring.bridge, view_of(self.held(agent).record)))

    def happen(self, kind: str, agent: str = "", *attributes: tuple[str, str]) -> None:
        """The listeners get an event."""
        self.change(happened=self.state.happened + 1)
        held = self.state.agents.get(agent)
        about = ("", 0, "", "", 0)
        if held is not None:
            one = held.record
            about = (one.shown, one.visit, one.protocol, one.version, one.session)
        state, visit, protocol, version, session = about
        event = Happened(
            self.state.happened,
            self.now_ns,
            kind,
            agent,
            session,
            state,
            visit,
            protocol,
            version,
            attributes=attributes,
        )
        self._events.append(event)

    def alarm(self, agent: str, text: str) -> None:
        """Something is wrong: an event, and a prompt to the agent."""
        self.happen("alarm", agent, ("text", text[:1000]))
        self.send(self.wiring.orchestrator, PromptWanted(agent, "alarm", text))

    def frame(self, agent: str) -> Frame:
        """What each answer to this agent says beside its data."""
        held = self.state.agents.get(agent)
        return Frame() if held is None else frame_of(held, self.now_ns)

    def answer(self, request: AgentRequest, answer: AgentAnswer, *, is_remembered: bool = True) -> None:
        """Answers a request; a repeat of it gets the same, if `is_remembered`."""
        if is_remembered:
            known = self.state.answers.get(request.agent, NO_ANSWERS)
            self.change(answers=self.state.answers.set(request.agent, known.remember(request, answer)))
        held = self.state.agents.get(request.agent)
        if held is not None and not held.is_told:
            self.hold(request.agent, replace(held, is_told=True))
        self._sends.append(Send(request.reply_to, answer))

    def done(self, request: AgentRequest, agent: str, data: Mapping[str, Json]) -> None:
        """Answers a request that was done, for this agent."""
        self.answer(request, succeeded(request, data, self.frame(agent)))

    def answer_only(self, request: AgentRequest, agent: str, data: Mapping[str, Json]) -> None:
        """Answers a request that changes nothing, and is done again when it comes again."""
        self.answer(request, succeeded(request, data, self.frame(agent)), is_remembered=False)

    def refused(self, request: AgentRequest, agent: str, problem: Any) -> None:
        """Answers a request that was not done, for this agent."""
        self.happen("refused", agent, ("code", problem.code), ("op", request.op), ("request", request.request_id))
        self.answer(request, failed(request, problem, self.frame(agent)))

    # --- the end ------------------------------------------------------------------------------------------------------

    def look_at(self, at_ns: int) -> None:
        """Sees to it that the timer elapses by then."""
        if at_ns < (self.state.look_ns or NEVER_NS):
            self.change(look_ns=at_ns)
            self._timer = [SetTimer(LOOK, at_ns=max(at_ns, self.now_ns + 1))]

    def look_at_next(self) -> None:
        """The timer has elapsed, and is set for what is due next."""
        self.change(look_ns=0)
        self.look_at(min((held.due_ns for held in self.state.agents.values()), default=NEVER_NS))

    def effects(self, *, are_together: bool = False) -> Made:
        """State: as it is now. Messages: those listed. Timers: to look at what is due. Engines: none."""
        self._tell_listeners()
        sends = together(self._sends, self.wiring.measurement) if are_together else self._sends
        return [Become(self.state), *self._timer, *sends]

    def _tell_listeners(self) -> None:
        """Sends events, or leaves them for later."""
        before = self.state.untold
        if not self.wiring.listeners or (before.is_empty and not self._events):
            return
        untold, told = before.gathered(self._events, (), self.now_ns, self.wiring.listeners)
        self.change(untold=untold)
        self._timer += told.timer
        self._sends += told.sends
