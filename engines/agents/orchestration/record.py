"""The record of an agent's life: what the orchestrator knows about its process, sessions and prompts.

| phase | meaning | leaves by |
|---|---|---|
| registered | added; never started | start |
| starting | a session is prepared, admitted, launched; no request of it has come | first request, timeout |
| ready | it has put a request, and no prompt waits for an effect | prompt, stop, exit |
| busy | it has work: a prompt was delivered, or its state is not idle | stop, exit, silence |
| waiting | its state is idle | message, stop, exit |
| stuck | a prompt had no effect twice | request, interrupt, restart |
| stopping | SIGTERM was sent; `after` says what comes then | exit |
| stopped | no process, and none is wanted, or a person has taken over | start, release of one that is wanted |
| backoff | no process until the pause is over | start |
| quarantined | no process, because of too many crashes or an exit that is for ever | start by a person |
| direct | a person has taken over; nothing is done by itself | release |
"""

from __future__ import annotations

from typing import Literal, TypeAlias

from engines.agents.answers import Answers
from engines.agents.messages import AgentRequest
from engines.agents.orchestration.launching import AgentPlan, PromptMode
from engines.model import Map, Value

Phase: TypeAlias = Literal[
    "registered",
    "starting",
    "ready",
    "busy",
    "waiting",
    "stuck",
    "stopping",
    "stopped",
    "backoff",
    "quarantined",
    "direct",
]
Reason: TypeAlias = Literal["start", "state", "message", "reminder", "migrated", "handover", "person", "alarm"]
After: TypeAlias = Literal["", "stop", "finish", "restart", "rotate", "crash", "remove"]

ENDING: tuple[After, ...] = ("stop", "finish", "remove")
"""After these no process is started, unless somebody asks for a start meanwhile."""

RUNNING: tuple[Phase, ...] = ("ready", "busy", "waiting", "stuck", "direct")
"""Phases in which the process runs and has put a request."""

LIVING: tuple[Phase, ...] = ("starting", *RUNNING, "stopping")
"""Phases with a session."""


class Waiting(Value):
    """A prompt that is to be given. `tries`: how often it was, to sessions that ended without a request after it."""

    reason: Reason
    text: str
    tries: int = 0


class Flight(Value):
    """The prompt that was ordered, and is not known to have had an effect. At most one.

    `number` is its own; `giving` that of the last order, which a repeat has too. `is_given`: it is in the pipe;
    `is_answered`: the agent has put a request since.
    """

    number: int
    reason: Reason
    text: str
    sent_ns: int
    tries: int = 1
    is_given: bool = False
    giving: int = 0
    is_answered: bool = False


class Where(Value):
    """Where the agent is in its protocol, as the validator last said."""

    state: str
    protocol: str
    version: str
    digest: str
    number: int
    visit: int
    flags: tuple[str, ...] = ()
    prompt: str = ""


class Rotation(Value):
    """The session is to be replaced. `turns` counts prompts that had an effect since it was asked for."""

    asked_ns: int
    reason: str
    turns: int = 0
    is_forced: bool = False


class Handover(Value):
    """A hand-over file that was checked, with the SHA-256 of its content; `is_mechanical`: written by the engine."""

    path: str
    digest: str
    session: int
    is_mechanical: bool = False


class Context(Value):
    """How full the context of the session is, in percent, as measured; None before the first measurement."""

    percent: float | None = None
    compactions: int = 0
    is_log_intact: bool = True
    is_noted: bool = False
    is_blocked: bool = False


class Life(Value):
    """All of one agent. Times are on the engine's clock; `due_ns` is when something is to be looked at."""

    role: str
    protocol: str
    plan: AgentPlan
    mode: PromptMode = "line"
    phase: Phase = "registered"
    since_ns: int = 0
    due_ns: int | None = None
    is_wanted: bool = False
    is_paused: bool = False
    is_enrolled: bool = False
    session: int = 0
    pid: int = 0
    token_digest: str = ""
    bus: str = ""
    is_launched: bool = False
    launched_ns: int = 0
    mechanisms: tuple[tuple[str, str], ...] = ()
    after: After = ""
    conversation: int = 0
    is_resumed: bool = False
    crashes: tuple[int, ...] = ()
    attempt: int = 0
    restarts: int = 0
    seen_ns: int = 0
    output_bytes: int = 0
    quiet_since_ns: int = 0
    where: Where | None = None
    unread: int = 0
    unanswered: tuple[str, ...] = ()
    prompts: tuple[Waiting, ...] = ()
    flight: Flight | None = None
    prompt_count: int = 0
    rotation: Rotation | None = None
    handover: Handover | None = None
    context: Context = Context()
    moves: tuple[str, ...] = ()
    last_exit: str = ""
    views: int = 0
    asked: AgentRequest | None = None
    open_handover: AgentRequest | None = None

    @property
    def is_taken(self) -> bool:
        """Whether a person has taken over, so that nothing is done by itself."""
        return self.phase == "direct" or (self.where is not None and self.where.state == "direct")

    @property
    def is_quarantined(self) -> bool:
        """Whether its state in the protocol is the quarantine, whatever its process does."""
        return self.where is not None and self.where.state == "quarantined"


class ProtocolText(Value):
    """A version of a protocol, as agents read it."""

    name: str
    version: str
    source: str


class Roster(Value):
    """State of the orchestrator: all agents, the protocols they may need, and what was answered."""

    lives: Map[str, Life] = Map()
    protocols: Map[str, ProtocolText] = Map()
    answers: Map[str, Answers] = Map()
    events: int = 0
    users: int = 0
    wake_ns: int = 0
