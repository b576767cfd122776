"""The orchestrator with neighbours that do what they should, on a clock that the test moves."""

from __future__ import annotations

import json
from collections import deque
from typing import Any

from engines.agents.messages import (
    Admit,
    Admitted,
    AgentAnswer,
    AgentMoved,
    AgentRequest,
    AgentSeen,
    Enrol,
    Enrolled,
    Fact,
    FactsChanged,
    Happened,
    InboxAsked,
    InboxShown,
)
from engines.agents.orchestration.launching import (
    AgentExited,
    EndSession,
    GivePrompt,
    Order,
    ReadWorkspace,
    WorkspaceRead,
)
from engines.agents.orchestration.orchestrator import ORCHESTRATOR
from engines.agents.orchestration.record import Life
from engines.agents.orchestration.terms import Terms
from engines.devices.launcher import reported
from engines.model import Committed, Configuration, Delivery, Due, Outgoing, Ref, birth, due_timers, next_deadline, step

S = 1_000_000_000
TERMS = Terms(Ref("validator"), Ref("bridge"), Ref("launcher"), Ref("router"), (Ref("bridge"),), ("agent",))


class Orchestra:
    """An orchestrator, the orders and messages that it sent, and neighbours that answer at once."""

    def __init__(
        self, terms: Terms = TERMS, obeys_end: bool = True, has_room: bool = True, admits: bool = True
    ) -> None:
        self.me = Configuration("test", "orchestrator", None, terms)
        self.now_ns = 1_000 * S
        self.env = birth(ORCHESTRATOR, self.me, now_ns=self.now_ns)
        self.sent: list[Any] = []
        self.obeys_end = obeys_end
        self.has_room = has_room
        self.admits = admits
        self.requests = 0
        self.files: dict[str, str] = {}
        self.unanswered: tuple[str, ...] = ()

    def deliver(self, message: Any, sender: str = "bridge") -> None:
        """A message, and all that follows from it at once."""
        mail = deque([(sender, message)])
        while mail:
            name, each = mail.popleft()
            self._take(Delivery(name, 0, each), mail)

    def wait(self, seconds: float) -> None:
        """Time passes; what is due happens when it is due."""
        until = self.now_ns + int(seconds * S)
        while (due := next_deadline(self.env)) is not None and due <= until:
            self.now_ns = max(self.now_ns, due)
            mail: deque[tuple[str, Any]] = deque()
            self._take(Due(due_timers(self.env, self.now_ns)), mail)
            while mail:
                name, each = mail.popleft()
                self._take(Delivery(name, 0, each), mail)
        self.now_ns = until

    def _take(self, cause: Any, mail: deque[tuple[str, Any]]) -> None:
        outcome = step(ORCHESTRATOR, self.me, self.env, cause, now_ns=self.now_ns)
        assert isinstance(outcome, Committed), outcome
        self.env = outcome.env
        for each in outcome.outputs:
            assert isinstance(each, Outgoing), each
            self.sent.append(each.message)
            mail.extend(self._reaction(each.target, each.message))

    def _reaction(self, target: str, message: Any) -> list[tuple[str, Any]]:
        if target == "launcher" and isinstance(message, Order.__args__):  # type: ignore[attr-defined]
            if (isinstance(message, EndSession) and not self.obeys_end) or (
                isinstance(message, GivePrompt) and not self.has_room
            ):
                return []
            if isinstance(message, ReadWorkspace) and (text := self.files.get(message.path)) is not None:
                found = WorkspaceRead(message.agent, message.session, message.path, text, "", message.request_id)
                return [("launcher", found)]
            report = reported(message)
            return [] if report is None else [("launcher", report)]
        if isinstance(message, Admit) and self.admits:
            return [("bridge", Admitted(message.agent, message.session, "unix:///bus?ns=t"))]
        if isinstance(message, InboxAsked):
            return [("router", InboxShown(message.agent, 0, self.unanswered))]
        if isinstance(message, Enrol):
            return [("validator", Enrolled(message.agent, "inbox"))]
        return []

    def ask(self, op: str, by: str = "admin", request_id: str = "", **body: Any) -> dict[str, Any]:
        """A request, and its answer, if it came."""
        self.requests += 1
        name = request_id or f"r{self.requests}"
        session = self.life(by).session if by != "admin" else 0
        actor: Any = "admin" if by == "admin" else "agent"
        before = len(self.sent)
        self.deliver(AgentRequest(by, session, name, op, json.dumps(body), actor, Ref("bridge")))
        answers = [each for each in self.sent[before:] if isinstance(each, AgentAnswer) and each.request_id == name]
        return dict(json.loads(answers[0].text)) if answers else {}

    def add(self, agent: str = "ann", **fields: Any) -> None:
        """An agent that runs, and has put its first request."""
        assert self.ask("agent.add", agent=agent, **fields)["success"]
        self.seen(agent)

    def life(self, agent: str = "ann") -> Life:
        return self.env.state.lives[agent]

    def seen(self, agent: str = "ann") -> None:
        self.deliver(AgentSeen(agent, self.life(agent).session, self.now_ns))

    def exit(self, agent: str = "ann", status: int | None = 1, signal: int = 0, reason: str = "exited") -> None:
        self.deliver(AgentExited(agent, self.life(agent).session, status, signal, reason), "launcher")

    def facts(self, agent: str = "ann", **facts: Any) -> None:
        named = tuple(Fact(name.replace("__", "."), value) for name, value in facts.items())
        self.deliver(FactsChanged(agent, named), "measurement")

    def move(
        self,
        state: str,
        agent: str = "ann",
        flags: tuple[str, ...] = (),
        wants: tuple[str, ...] = (),
        is_own: bool = False,
    ) -> None:
        where = self.life(agent).where
        number = where.number + 1 if where else 1
        before = where.state if where else ""
        message = AgentMoved(
            agent, "worker", "inbox", "1.0.0", "d1", state, before, number, number, True, flags, "", wants, is_own
        )
        self.deliver(message, "validator")

    def events(self, kind: str = "") -> list[Happened]:
        found = [each for each in self.sent if isinstance(each, Happened)]
        return [each for each in found if each.kind.startswith(kind)]

    def of(self, kind: type[Any]) -> list[Any]:
        """The messages of one type that were sent."""
        return [each for each in self.sent if isinstance(each, kind)]
