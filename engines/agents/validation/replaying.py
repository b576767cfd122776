"""Recorded turns of the validator against another version of a protocol: which decisions would be others. Pure.

Each turn is made once more by the validator's own rules, from the state that was recorded before it, with the agents
of the protocol as they would be in the other version (`compare_image`). So no difference follows from an earlier one:
those listed are the decisions that the change of the protocol itself makes others. Where an agent has no image in the
version, each decision about it is a difference.

The awkward case is a stay that is over earlier: the recording has no turn then. It is found at the agent's next turn.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from engines.model import Committed, Configuration, Delivery, Due, Outgoing, step

from ..bodies import ADDRESSEE
from ..messages import AgentAnswer, AgentRequest, Enrol, Enter, FactsChanged, MessageWaiting, Together
from ..protocol.canonical import digest, doc_digest
from ..protocol.compare_image import image
from ..protocol.compare_proof import image_of_state, migration_for
from ..protocol.decide_record import Record
from ..protocol.model import Protocol
from .records import Held, Registry, counted, new_version
from .simulation import reasons
from .validator import VALIDATOR

DECIDING: Final = (
    "state.transition", "context.set", "override.force", "override.takeover", "override.release",
)  # fmt: skip

CAUSES: Final = {Enrol: "added", Enter: "its process", FactsChanged: "facts", MessageWaiting: "a message"}


class Disagreement(msgspec.Struct, frozen=True):
    """A decision that would be another one: on what, what was recorded, and what it would be."""

    turn: int
    time_ns: int
    agent: str
    asked: str
    recorded: str
    now: str


class AgentTurn(msgspec.Struct, frozen=True):
    """What a turn made of an agent: its record after, the states that it entered, and the answer to its request."""

    record: Record
    entered: tuple[tuple[str, str], ...] = ()
    answer: str = ""

    @property
    def text(self) -> str:
        """For people."""
        path = ", ".join(f"{state} ({cause})" if cause else state for state, cause in self.entered)
        if self.answer.startswith("refused") or not path:
            return self.answer or f"stays in {self.record.shown}"
        return f"goes to {path}"


class Replaying:
    """The turns of one recording, in order, against one version."""

    def __init__(self, protocol: Protocol, source: str) -> None:
        self.protocol = protocol
        self.turns = 0
        self._version = new_version(protocol, digest(protocol), doc_digest(source), source)
        self._known: dict[str, tuple[Held, Held | str]] = {}
        self._reported: set[tuple[str, int, str]] = set()

    def differences(
        self, me: Configuration[Any], turn: int, cause: Delivery[Any] | Due, before: Any, after: Any, now_ns: int
    ) -> Iterator[Disagreement]:
        """Those of a turn, given the environments before and after it. Of messages that came together, each is one."""
        if not (isinstance(cause, Delivery) and isinstance(cause.message, Together)):
            yield from self._differences(me, turn, cause, before, after, now_ns)
            return
        for message in cause.message.messages:
            alone = replace(cause, message=message)
            outcome = step(VALIDATOR, me, before, alone, now_ns)
            assert isinstance(outcome, Committed), outcome
            yield from self._differences(me, turn, alone, before, outcome.env, now_ns)
            before = outcome.env

    def _differences(
        self, me: Configuration[Any], turn: int, cause: Delivery[Any] | Due, before: Any, after: Any, now_ns: int
    ) -> Iterator[Disagreement]:
        asked = _asked(cause)
        if asked is None:
            return
        self.turns += 1
        shadow = self._shadow(before.state, now_ns)
        recorded, made = (
            _made(me, env, cause, now_ns) for env in (before, msgspec.structs.replace(before, state=shadow))
        )
        whom = _whom(cause)
        for agent, held in after.state.agents.items():
            if held.record.protocol != self.protocol.name:
                continue
            was, would = before.state.agents.get(agent), shadow.agents.get(agent)
            after_now = made[0].agents.get(agent)
            if agent != whom and held is was and after_now is would:
                continue
            old = AgentTurn(held.record, _entered(was, held), recorded[1] if agent == whom else "")
            known = None if was is None else self._image(was, before.state, now_ns)
            if isinstance(known, str):
                new: AgentTurn | None = None
                text = f"is not possible: {known}"
            else:
                if would is not None and not isinstance(cause, Due):
                    yield from self._over(turn, agent, would, now_ns)
                assert after_now is not None, agent
                new = AgentTurn(after_now.record, _entered(would, after_now), made[1] if agent == whom else "")
                text = new.text
            if new is None or not self._is_same(old, new, after.state):
                key = agent, 0 if was is None else was.record.visit, text
                if agent == whom or key not in self._reported:
                    self._reported.add(key)
                    yield Disagreement(turn, now_ns, agent, asked if agent == whom else "", old.text, text)

    def _over(self, turn: int, agent: str, held: Held, now_ns: int) -> Iterator[Disagreement]:
        """The stay of an agent would have been over before this turn."""
        state = self.protocol.state(held.record.state)
        if state is None or state.timeout is None or not 0 < held.timeout_ns < now_ns:
            return
        told = f"goes to {state.timeout.target} (timeout)"
        key = agent, held.record.visit, told
        if key not in self._reported:
            self._reported.add(key)
            yield Disagreement(turn, held.timeout_ns, agent, "", f"stays in {held.record.state}", told)

    def _is_same(self, old: AgentTurn, new: AgentTurn, state: Registry) -> bool:
        """Whether two outcomes are the same decision, states and fields being those of the version."""
        follows = state.versions[old.record.digest].protocol
        rules = None if follows is self.protocol else migration_for(follows, self.protocol)
        path = [image_of_state(rules, name) for name, _ in old.entered]
        if path != [name for name, _ in new.entered] or old.answer.partition(":")[0] != new.answer.partition(":")[0]:
            return False
        names = {one.name for one in self.protocol.context} & {one.name for one in follows.context}
        values = ({n: v for n, v in one.record.context.items() if n in names} for one in (old, new))
        return next(values) == next(values) and image_of_state(rules, old.record.shown) == new.record.shown

    def _shadow(self, state: Registry, now_ns: int) -> Registry:
        """The state, with the agents of this protocol in the version, as far as they have an image in it."""
        version = self._version
        agents = state.agents
        for agent, held in state.agents.items():
            if held.record.protocol == self.protocol.name:
                known = self._image(held, state, now_ns)
                if known is not held and isinstance(known, Held):
                    agents = agents.set(agent, known)
        versions = state.versions.set(version.digest, version)
        current = state.current.set(self.protocol.name, version.digest)
        population = state.population
        if any(one.peers for one in versions.values()):
            population = type(population)()
            for held in agents.values():
                population = counted(population, held.record, 1)
        return replace(state, versions=versions, current=current, agents=agents, population=population)

    def _image(self, held: Held, state: Registry, now_ns: int) -> Held | str:
        """An agent in the version, with the deadline that its stay has there; or why it has no image."""
        record = held.record
        if record.digest == self._version.digest:
            return held
        known = self._known.get(record.agent)
        if known is not None and known[0] is held:
            return known[1]
        old = state.versions[record.digest].protocol
        made = image(old, self.protocol, self._version.digest, record, dict(held.facts.items()), now_ns)
        found: Held | str = made.reason
        if made.record is not None:
            there = replace(made.record, number=record.number, past=record.past)
            stay = self.protocol.state(there.state)
            is_timed = stay is not None and stay.timeout is not None and not there.system
            end_ns = there.since_ns + stay.timeout.after_ns if is_timed else 0  # type: ignore[union-attr]
            found = replace(held, record=there, pending="", armed=there.visit, timeout_ns=end_ns)
        self._known[record.agent] = held, found
        return found


def _asked(cause: Delivery[Any] | Due) -> str | None:
    """What a turn decides on; None for one that decides nothing about an agent's state."""
    if isinstance(cause, Due):
        return ""
    match cause.message:
        case AgentRequest(op=op, body=body) if op in DECIDING:
            words = json.loads(body)
            return f"{op} {words.get('target') or words.get('event') or ''}".strip()
        case Enrol() | Enter() | FactsChanged() | MessageWaiting():
            return CAUSES[type(cause.message)]
    return None


def _whom(cause: Delivery[Any] | Due) -> str:
    """The agent that a turn is about, if it is about one."""
    if isinstance(cause, Due):
        return ""
    message = cause.message
    if isinstance(message, AgentRequest) and message.actor == "admin":
        return str(json.loads(message.body).get(ADDRESSEE, ""))
    return str(message.agent)


def _made(me: Configuration[Any], env: Any, cause: Delivery[Any] | Due, now_ns: int) -> tuple[Registry, str]:
    """The state after a turn, and the answer that it gave."""
    outcome = step(VALIDATOR, me, env, cause, now_ns)
    assert isinstance(outcome, Committed), outcome
    answers = [each.message for each in outcome.outputs if isinstance(each, Outgoing)]
    id = cause.message.request_id if isinstance(cause, Delivery) and isinstance(cause.message, AgentRequest) else ""
    given = [json.loads(one.text) for one in answers if isinstance(one, AgentAnswer) and one.request_id == id]
    state: Registry = outcome.env.state
    if not given:
        return state, ""
    if given[0]["success"]:
        return state, "done"
    error = given[0]["error"]
    return state, f"refused ({error['code']}): {reasons(error)}"


def _entered(before: Held | None, after: Held) -> tuple[tuple[str, str], ...]:
    """The states that an agent entered in a turn, and why."""
    if before is None:
        return ((after.record.shown, "enrolled"),)
    number = before.record.number
    return tuple((one.state, one.cause) for one in after.record.past if one.number > number and one.before != one.state)
