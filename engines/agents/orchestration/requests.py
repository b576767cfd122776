"""Requests about lives: `agent.*`, `session.*`, `prompt.*`, `limits.*` and `heartbeat`.

Each function takes the turn, the request and its body, and returns the data of the answer, or None if the answer comes
later; a `Problem` that is raised is the answer, and then nothing was changed. Operators may ask for what agents may,
with a field `agent`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, get_args

from msgspec.structs import asdict, replace

from engines.agents.bus import IDENTIFIER, OPERATOR
from engines.agents.envelope import Problem, read_body
from engines.agents.messages import AgentRequest, Enrol, InboxAsked
from engines.agents.orchestration.launching import AgentPlan, Isolation, PromptMode, ReadWorkspace
from engines.model import Map

from . import course
from .prompting import try_prompt, want_prompt
from .record import ENDING, LIVING, Life
from .turn import Turn
from .watch import after_change, release_quarantine

Body = Mapping[str, Any]
Data = dict[str, Any]

LIMITS: Final = (
    "memory_bytes",
    "cpu_percent",
    "pids",
    "files",
    "file_bytes",
    "cpu_seconds",
    "wall_s",
    "output_bytes_s",
)
RESERVED: Final = ("any", "self", "engine", "system", "none", OPERATOR)
PAGE: Final = 100
TEXT_MAX: Final = 32 << 10
WORDS_MAX: Final = 256
PROMPTS_MAX: Final = 20
"""Prompts of people that wait for an agent."""


class Refused(Exception):
    """A request is not done."""

    def __init__(self, kind: str, code: str, message: str, *hints: str) -> None:
        super().__init__(message)
        self.problem = Problem(kind, code, message, hints=hints)


def text_in(body: Body, name: str, default: str | None = None) -> str:
    """A field that is text. Raises Refused."""
    value = body.get(name, default)
    if not isinstance(value, str) or len(value) > TEXT_MAX:
        raise Refused("usage", "bad_field", f"the field `{name}` has to be a text of at most {TEXT_MAX} characters")
    return value


def life_in(turn: Turn, request: AgentRequest, body: Body) -> tuple[str, Life]:
    """The agent that a request is about. Raises Refused."""
    agent = text_in(body, "agent", "") if request.agent == OPERATOR else request.agent
    if not agent:
        raise Refused("usage", "no_agent", "this is about an agent, and none is named", "--agent NAME")
    life = turn.life(agent)
    if life is None:
        raise Refused("unknown", "no_such_agent", f"there is no agent {agent!r}", "aism agent ls")
    return agent, life


def add(turn: Turn, request: AgentRequest, body: Body) -> Data | None:
    """A new agent; the answer comes once the validator has enrolled it."""
    agent = text_in(body, "agent")
    if not IDENTIFIER.fullmatch(agent) or agent in RESERVED:
        raise Refused("usage", "bad_name", f"{agent!r} cannot be the name of an agent")
    if agent in turn.roster.lives:
        raise Refused("conflict", "agent_exists", f"there is an agent {agent} already", f"aism agent start {agent}")
    if len(turn.roster.lives) >= turn.terms.agents_max:
        raise Refused("limit", "too_many_agents", f"there are {turn.terms.agents_max} agents already")
    words = body.get("command") or list(turn.terms.command)
    if not isinstance(words, list) or not words or not all(isinstance(each, str) for each in words):
        hint = f"aism agent add {agent} -- PROGRAM ARGUMENT..."
        raise Refused("usage", "no_command", "an agent needs a command: a list of words that is not empty", hint)
    plan = AgentPlan(
        tuple(words[:WORDS_MAX]),
        _one_of(body, "isolation", get_args(Isolation), "none"),
        Map(_texts_in(body, "environment")),
        Map(limits_in(body)),
        turn.roster.users + 1,
        body.get("network") is True,
    )
    mode: Any = _one_of(body, "mode", get_args(PromptMode), "line")
    role, protocol = text_in(body, "role", "worker"), text_in(body, "protocol", turn.terms.protocol)
    is_wanted = body.get("start") is not False
    life = Life(role, protocol, plan, mode, since_ns=turn.now_ns, is_wanted=is_wanted, asked=request)
    roster = turn.roster
    turn.roster = replace(roster, lives=roster.lives.set(agent, life), users=roster.users + 1)
    turn.send(turn.terms.validator, Enrol(agent, role, protocol, turn.me))
    return None


def _one_of(body: Body, name: str, choices: tuple[str, ...], default: str) -> Any:
    value = body.get(name, default)
    if value not in choices:
        raise Refused("usage", "bad_field", f"the field `{name}` has to be one of {', '.join(choices)}")
    return value


def _texts_in(body: Body, name: str) -> dict[str, str]:
    value = body.get(name) or {}
    if not isinstance(value, dict) or not all(isinstance(each, str) for each in value.values()):
        raise Refused("usage", "bad_field", f"the field `{name}` has to be an object of texts")
    return value


def limits_in(body: Body) -> dict[str, int]:
    """The limits in a body. Raises Refused."""
    value = body.get("limits") or {}
    if not isinstance(value, dict):
        raise Refused("usage", "bad_limit", "the field `limits` has to be an object")
    for name, bound in value.items():
        if name not in LIMITS:
            raise Refused("usage", "bad_limit", f"there is no limit `{name}`; there are {', '.join(LIMITS)}")
        if not isinstance(bound, int) or isinstance(bound, bool) or bound < 1:
            raise Refused("usage", "bad_limit", f"the limit `{name}` has to be a whole number from 1")
    return value


def shown(agent: str, life: Life) -> Data:
    """An agent, as people and programs see it."""
    return {
        "agent": agent,
        "role": life.role,
        "protocol": life.where.protocol if life.where else life.protocol,
        "version": life.where.version if life.where else "",
        "state": life.where.state if life.where else "",
        "phase": life.phase,
        "session": life.session,
        "conversation": life.conversation,
        "pid": life.pid,
        "isolation": life.plan.isolation,
        "restarts": life.restarts,
        "paused": life.is_paused,
        "last_exit": life.last_exit,
        "prompts_waiting": len(life.prompts) + (life.flight is not None),
        "unread": life.unread,
    }


def list_agents(turn: Turn, _request: AgentRequest, body: Body) -> Data:
    """A page of agents."""
    after = text_in(body, "after", "")
    names = [name for name in turn.roster.lives if name > after]
    page = [shown(name, turn.roster.lives[name]) for name in names[:PAGE]]
    return {"agents": page, "next": names[PAGE - 1] if len(names) > PAGE else ""}


def show(turn: Turn, request: AgentRequest, body: Body) -> Data:
    """An agent."""
    agent, life = life_in(turn, request, body)
    return {
        **shown(agent, life),
        "command": list(life.plan.command),
        "limits": course.limits_of(turn, life),
        "mechanisms": dict(life.mechanisms),
    }


def start(turn: Turn, request: AgentRequest, body: Body) -> Data:
    """Start an agent that does not run; one that is stopping, when it has stopped."""
    agent, life = life_in(turn, request, body)
    if life.after in ENDING:
        turn.change(agent, after="restart")
    if life.phase in LIVING:
        return {"agent": agent, "phase": life.phase, "session": life.session}
    if not life.is_enrolled:
        raise Refused("conflict", "not_enrolled", f"the validator has not enrolled {agent} yet")
    release_quarantine(turn, agent)
    turn.change(agent, crashes=(), attempt=0, is_resumed=False)
    course.start(turn, agent)
    return {"agent": agent, "phase": "starting", "session": turn.roster.lives[agent].session}


def stop(turn: Turn, request: AgentRequest, body: Body) -> Data:
    """Stop an agent."""
    agent, _life = life_in(turn, request, body)
    turn.change(agent, is_wanted=False)
    course.stop(turn, agent, "stop", 1 if body.get("now") is True else turn.terms.grace_ns)
    return {"agent": agent, "phase": turn.roster.lives[agent].phase}


def restart(turn: Turn, request: AgentRequest, body: Body) -> Data:
    """Stop an agent and start it again."""
    agent, life = life_in(turn, request, body)
    if not life.is_enrolled:
        raise Refused("conflict", "not_enrolled", f"the validator has not enrolled {agent} yet")
    release_quarantine(turn, agent)
    course.stop(turn, agent, "restart", turn.terms.grace_ns)
    return {"agent": agent, "phase": turn.roster.lives[agent].phase}


def pause(turn: Turn, request: AgentRequest, body: Body) -> Data:
    """Send an agent no prompts, until it is started or resumed."""
    agent, life = life_in(turn, request, body)
    is_paused = body.get("resume") is not True
    turn.change(agent, is_paused=is_paused)
    turn.happened("life.paused" if is_paused else "life.resumed", agent, cause=text_in(body, "reason", ""))
    after_change(turn, agent)
    if life.phase == "starting":
        try_prompt(turn, agent)
    turn.show(agent)
    return {"agent": agent, "paused": is_paused}


def remove(turn: Turn, request: AgentRequest, body: Body) -> Data:
    """Remove an agent for ever."""
    agent, _life = life_in(turn, request, body)
    course.stop(turn, agent, "remove", turn.terms.grace_ns)
    return {"agent": agent, "removed": agent not in turn.roster.lives}


def prompt(turn: Turn, request: AgentRequest, body: Body) -> Data:
    """Prompt an agent, as a person."""
    agent, life = life_in(turn, request, body)
    if life.phase not in LIVING:
        raise Refused("conflict", "not_running", f"{agent} does not run: {life.phase}", f"aism agent start {agent}")
    if sum(each.reason == "person" for each in life.prompts) >= PROMPTS_MAX:
        raise Refused("limit", "too_many_prompts", f"{PROMPTS_MAX} prompts of people wait for {agent} already")
    want_prompt(turn, agent, "person", text_in(body, "text"))
    after_change(turn, agent)
    return {"agent": agent, "prompt": turn.roster.lives[agent].prompt_count}


def show_limits(turn: Turn, request: AgentRequest, body: Body) -> Data:
    """The limits of an agent, and how they are kept."""
    agent, life = life_in(turn, request, body)
    return {"agent": agent, "limits": course.limits_of(turn, life), "mechanisms": dict(life.mechanisms)}


def set_limits(turn: Turn, request: AgentRequest, body: Body) -> Data:
    """Set limits; they hold from the next start on."""
    agent, life = life_in(turn, request, body)
    limits = {**dict(life.plan.limits.items()), **limits_in(body)}
    life = turn.change(agent, plan=replace(life.plan, limits=Map(limits)))
    return {"agent": agent, "limits": course.limits_of(turn, life), "holds": "from the next start"}


def rotate_token(turn: Turn, request: AgentRequest, body: Body) -> Data:
    """A new token at the next start, which every start brings anyway: so start it again."""
    return restart(turn, request, body)


def register(turn: Turn, request: AgentRequest, body: Body) -> Data:
    """The agent's program says which session and log it has."""
    agent, life = life_in(turn, request, body)
    words = {name: text_in(body, name, "") for name in ("session_id", "transcript", "model", "source")}
    turn.happened("session.registered", agent, source="agent", how=words)
    return {"session": life.session, "conversation": f"{agent}-{life.conversation}"}


def status(turn: Turn, request: AgentRequest, body: Body) -> Data:
    """The session of the agent."""
    agent, life = life_in(turn, request, body)
    handover = life.handover
    return {
        "session": life.session,
        "conversation": f"{agent}-{life.conversation}",
        "resumed": life.is_resumed,
        "phase": life.phase,
        "context_percent": life.context.percent,
        "rotation": life.rotation.reason if life.rotation else "",
        "handover": asdict(handover) if handover else None,
    }


def handover(turn: Turn, request: AgentRequest, body: Body) -> None:
    """Hand over; the answer comes once it is known what the agent has not answered, and the file has been read."""
    agent, life = life_in(turn, request, body)
    text_in(body, "file")
    turn.change(agent, open_handover=request)
    if turn.terms.router is None:
        read_handover(turn, agent, life.session, request)
    else:
        turn.send(turn.terms.router, InboxAsked(agent, turn.me))


def read_handover(turn: Turn, agent: str, session: int, request: AgentRequest) -> None:
    """Have the file of a hand-over read."""
    path = text_in(read_body(request.body), "file")
    turn.order(ReadWorkspace(agent, session, path, turn.terms.handover_bytes_max, request.request_id))


def heartbeat(_turn: Turn, _request: AgentRequest, _body: Body) -> Data:
    """A sign of life, as each request is one."""
    return {"alive": True}


OPERATIONS: Final[dict[str, Callable[[Turn, AgentRequest, Body], Data | None]]] = {
    "agent.add": add,
    "agent.list": list_agents,
    "agent.show": show,
    "agent.start": start,
    "agent.stop": stop,
    "agent.restart": restart,
    "agent.pause": pause,
    "agent.remove": remove,
    "agent.rotate_token": rotate_token,
    "prompt.send": prompt,
    "limits.show": show_limits,
    "limits.set": set_limits,
    "session.register": register,
    "session.status": status,
    "session.handover": handover,
    "heartbeat": heartbeat,
}
