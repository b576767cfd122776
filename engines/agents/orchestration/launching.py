"""Messages between the orchestrator and the launchers, which the device `engines.devices.launcher` drives.

A session is one life of an agent's process; its number counts from 1. All orders may be repeated: a session that is
prepared or launched again is the same one, and the answer comes again. `AgentExited` is sent again every few seconds
until `ForgetSession`. After a start of the device it sends `LaunchersKnown`, and the orchestrator repeats what is open.
Prompts to an agent are numbered from 1 as they are ordered; one that is given once more has another number. Reports
have the last number that is in the pipe: a prompt that an order or its report was lost of is given again, or confirmed.
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from msgspec import Meta

from engines.model import Map, Message, Value

Isolation: TypeAlias = Literal["none", "uid", "bwrap", "runc", "docker"]
PromptMode: TypeAlias = Literal["line", "block", "stream-json"]


class AgentPlan(Value):
    """How to start an agent's process. `{workspace}`, `{protocols}` and `{session}` in the command are replaced.

    `limits` are by name: memory_bytes, cpu_percent, pids, files, file_bytes, cpu_seconds, wall_s, output_bytes_s.
    `user` numbers the agents, so that each gets a user of its own. `network` allows one at levels that have none.
    """

    command: tuple[str, ...]
    isolation: Isolation = "none"
    environment: Map[str, str] = Map()
    limits: Map[str, int] = Map()
    user: int = 0
    network: bool = False


class PrepareSession(Message):
    """To the launchers: make workspace and token."""

    agent: str
    session: int
    plan: AgentPlan


class SessionPrepared(Message):
    """From the launchers: the session has a token, with this SHA-256 in hex."""

    agent: str
    session: int
    token_digest: str


class LaunchSession(Message):
    """To the launchers: start the process of a prepared session. `bus` is for its `AISM_BUS`."""

    agent: str
    session: int
    plan: AgentPlan
    bus: str = ""


class SessionLaunched(Message):
    """From the launchers: the process runs. `mechanisms` say how each limit is kept."""

    agent: str
    session: int
    pid: int
    level: str
    mechanisms: tuple[tuple[str, str], ...] = ()


class SessionRefused(Message):
    """From the launchers: the session cannot be prepared or launched, for this reason."""

    agent: str
    session: int
    reason: str


class AgentExited(Message):
    """From the launchers: the process has exited, and nothing of its tree is left if `is_clear`.

    `reason`: exited, signal, stopped, memory, wall, pids, lost, or "refused: ...". `status` is None after a signal.
    """

    agent: str
    session: int
    status: int | None
    signal: int
    reason: str
    is_clear: bool = True
    lived_ns: int = 0


class ForgetSession(Message):
    """To the launchers: the exit of this session is known."""

    agent: str
    session: int


class GivePrompt(Message):
    """To the launchers: write this text to the standard input of the session, if that prompt is not in there."""

    agent: str
    session: int
    prompt: int
    text: Annotated[str, Meta(max_length=1 << 18)]


class PromptGiven(Message):
    """From the launchers: all of the text is in the pipe."""

    agent: str
    session: int
    prompt: int


class InterruptSession(Message):
    """To the launchers: SIGINT to the agent."""

    agent: str
    session: int


class EndSession(Message):
    """To the launchers: SIGTERM, and after the grace the whole tree is killed."""

    agent: str
    session: int
    grace_ns: int


class WriteState(Message):
    """To the launchers: write this file into `.aism` of the agent's workspace."""

    agent: str
    user: int
    isolation: Isolation
    name: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,80}$")]
    text: str


class ReadWorkspace(Message):
    """To the launchers: read a file of the workspace, for the request with this id."""

    agent: str
    session: int
    path: str
    bytes_max: int
    request_id: str = ""


class WorkspaceRead(Message):
    """From the launchers: the text of the file, or why there is none."""

    agent: str
    session: int
    path: str
    text: str
    problem: str
    request_id: str = ""


class Running(Value):
    """A session whose process runs. `given`: the last prompt that is in the pipe."""

    agent: str
    session: int
    pid: int
    given: int = 0


class LaunchersKnown(Message):
    """From the launchers, after a start of the device: these run; exits follow as messages."""

    running: tuple[Running, ...]


class SessionUse(Value):
    """What a running session uses: the tree's proportional set size, its processor time, and what it has written.

    `given`: the last prompt that is in the pipe.
    """

    agent: str
    session: int
    processes: int
    memory_bytes: int
    cpu_ns: int
    output_bytes: int
    given: int = 0


class LaunchersReport(Message):
    """From the launchers, every few seconds: what the running sessions use."""

    sessions: tuple[SessionUse, ...]


class KeeperLost(Message):
    """From the launchers: no keeper answers, so nothing can be launched; agents that run are not affected."""

    reason: str


Order: TypeAlias = (
    PrepareSession
    | LaunchSession
    | ForgetSession
    | GivePrompt
    | InterruptSession
    | EndSession
    | WriteState
    | ReadWorkspace
)
Report: TypeAlias = (
    SessionPrepared
    | SessionLaunched
    | SessionRefused
    | AgentExited
    | PromptGiven
    | WorkspaceRead
    | LaunchersKnown
    | LaunchersReport
    | KeeperLost
)
