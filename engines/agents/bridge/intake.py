"""The open requests of a bridge, as a pure machine: arrivals go to a family or are refused, answers go back.

An open request is known by its agent and its id. While one is open, an entry with the same content waits with it, and
is answered with it; one with other content waits until it is answered, and goes to its family then, which refuses it.
`engines/agents/bridge/unanswered.py` sees to those that a family does not answer. While there is no room on the disk
(`Admission.full`), agents may only read: what changes something is refused.

All of this may be lost at any time: an entry stays in its stream until its answer is pushed, and is read again.

Bounds: `OPEN_MAX` requests of all agents, beyond which the bridge stops reading; `OPEN_OF_AGENT_MAX` of one agent, and
a bucket of tokens for each, beyond which requests are refused with the time after which another try is worthwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, TypeAlias

from msgspec.structs import replace

from engines.model import Map, Ref, Value

from ..bus import OPERATOR, REQUEST_ID, mark_of
from ..envelope import Problem, failed
from ..messages import AgentAnswer, AgentRequest
from ..operations import READS, WAITS, Family, family_of
from ..protocol.model import Actor
from .misfit import Misfit
from .requests import Request, read_request

OPEN_MAX: Final = 10_000
OPEN_OF_AGENT_MAX: Final = 100
FULL_RETRY_MS: Final = 1_000


class Admission(Value):
    """How many requests an agent may put in a second, and how many at once; which families are there; who is asked.

    `full` says where there is no room on a disk; "" while there is.
    """

    rate_per_s: float
    burst: int
    families: tuple[Family, ...]
    me: str
    full: str = ""


class Bucket(Value):
    """The tokens of an agent at a time."""

    tokens: float
    time_ns: int


class LaterEntry(Value):
    """An entry with other content for the id of an open request."""

    entry: str
    op: str
    body: str


class OpenRequest(Value):
    """A request that its family has. `entries` are those of the agent's stream that this content came in.

    `is_alone`: it was sent again, by itself.
    """

    op: str
    body: str
    entries: tuple[str, ...]
    began_ns: int
    sent_ns: int
    later: tuple[LaterEntry, ...] = ()
    is_alone: bool = False


class Probe(Value):
    """A request of the bridge itself, which follows those that were sent again to a family."""

    request_id: str
    sent_ns: int


class Intake(Value):
    """State: open requests by agent and id, buckets and sessions by agent, refusals by agent and code, the last probe
    by family."""

    open: Map[str, Map[str, OpenRequest]] = Map()
    count: int = 0
    buckets: Map[str, Bucket] = Map()
    sessions: Map[str, int] = Map()
    refusals: Map[str, int] = Map()
    probes: Map[str, Probe] = Map()


class Forward(NamedTuple):
    """To do: send a request to a family."""

    family: Family
    request: AgentRequest


class Push(NamedTuple):
    """To do: push the answer to each of these entries, then remove them. Without an id there is no place to push to."""

    agent: str
    request_id: str
    mark: str
    text: str
    entries: tuple[str, ...]
    op: str
    kind: str
    began_ns: int


Deed: TypeAlias = Forward | Push
Outcome: TypeAlias = tuple[Intake, list[Deed]]


def arrive(state: Intake, agent: str, entry: str, fields: dict[bytes, bytes], terms: Admission, now_ns: int) -> Outcome:
    """An entry of an agent's stream was read."""
    request_id = fields.get(b"id", b"").decode(errors="replace")
    known = state.open.get(agent, _NONE).get(request_id)
    if known is not None and entry in _entries(known):
        return state, []
    try:
        request = read_request(fields, agent)
        if known is not None:
            return _joined(state, agent, entry, request, known), []
        state = _admitted(state, agent, request.op, terms, now_ns)
    except NotNow as refused:
        return _refuse(state, agent, entry, fields, refused.problem, now_ns)
    except Misfit as misfit:
        problem = Problem(misfit.kind, misfit.code, misfit.message, hints=(misfit.hint,) if misfit.hint else ())
        return _refuse(state, agent, entry, fields, problem, now_ns)
    opened = OpenRequest(request.op, request.body, (entry,), now_ns, now_ns)
    state = with_open(state, agent, request.request_id, opened)
    return state, [forward(state, agent, request.request_id, opened, terms)]


def answer(state: Intake, given: AgentAnswer, terms: Admission, now_ns: int) -> Outcome:
    """A family has answered. An answer to a request that is not open does nothing: its entry is read again."""
    known = state.open.get(given.agent, _NONE).get(given.request_id)
    if known is None:
        return _after_probe(state, given, terms, now_ns)
    return close(state, known, given, terms, now_ns)


def close(state: Intake, known: OpenRequest, given: AgentAnswer, terms: Admission, now_ns: int) -> Outcome:
    """An open request has its answer; what waited for its id is next."""
    mark = mark_of(known.op, known.body)
    deeds: list[Deed] = [
        Push(given.agent, given.request_id, mark, given.text, known.entries, known.op, given.kind, known.began_ns)
    ]
    if not known.later:
        return _without(state, given.agent, given.request_id), deeds
    first, *rest = known.later
    opened = OpenRequest(first.op, first.body, (first.entry,), now_ns, now_ns, tuple(rest))
    state = with_open(state, given.agent, given.request_id, opened)
    return state, [*deeds, forward(state, given.agent, given.request_id, opened, terms)]


def _after_probe(state: Intake, given: AgentAnswer, terms: Admission, now_ns: int) -> Outcome:
    """If this is the answer to a probe, its family has failed on what was sent by itself before it."""
    found = next(((name, one) for name, one in state.probes.items() if one.request_id == given.request_id), None)
    if given.agent != OPERATOR or found is None:
        return state, []
    family, probe = found
    text = f"the {family} has failed on this request, and has set it aside; nothing was done"
    broken = Problem("internal", "broken_request", text, hints=("`enginehost quarantine ls` shows why",))

    def is_broken(one: OpenRequest) -> bool:
        return one.is_alone and one.sent_ns <= probe.sent_ns and family_of(one.op) == family

    return answer_all(replace(state, probes=state.probes.without(family)), is_broken, broken, terms, now_ns)


def may_wait(one: OpenRequest) -> bool:
    """Whether its family may have the request, and answer it later."""
    return one.op in WAITS and (one.op != "message.read" or '"wait"' in one.body)


def answer_all(
    state: Intake, concerns: Callable[[OpenRequest], bool], problem: Problem, terms: Admission, now_ns: int
) -> Outcome:
    """Open requests that this concerns are answered so, but for those that a family may answer later."""
    found = [
        (agent, request_id, one)
        for agent, requests in state.open.items()
        for request_id, one in requests.items()
        if not may_wait(one) and concerns(one)
    ]
    deeds: list[Deed] = []
    for agent, request_id, one in found:
        state, made = close(state, one, refusal(agent, request_id, problem), terms, now_ns)
        deeds += made
    return state, deeds


def emptied(state: Intake) -> Intake:
    """Without open requests: the store was gone, and all entries are read again."""
    return replace(state, open=Map(), count=0)


def refusal(agent: str, request_id: str, problem: Problem) -> AgentAnswer:
    """The answer to a request that no family sees."""
    return failed(AgentRequest(agent, 0, request_id, "", "", "agent", Ref("")), problem)


class NotNow(Exception):
    """A request in form is not let in now."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem


_NONE: Final[Map[str, OpenRequest]] = Map()


def _entries(known: OpenRequest) -> Sequence[str]:
    return (*known.entries, *(one.entry for one in known.later)) if known.later else known.entries


def _joined(state: Intake, agent: str, entry: str, request: Request, known: OpenRequest) -> Intake:
    if (request.op, request.body) == (known.op, known.body):
        known = replace(known, entries=(*known.entries, entry))
    else:
        known = replace(known, later=(*known.later, LaterEntry(entry, request.op, request.body)))
    if len(_entries(known)) > OPEN_OF_AGENT_MAX:
        raise NotNow(_too_many())
    return with_open(state, agent, request.request_id, known)


def _admitted(state: Intake, agent: str, op: str, terms: Admission, now_ns: int) -> Intake:
    """With a token less in the agent's bucket. Raises NotNow. Operators have no bucket."""
    if family_of(op) not in terms.families:
        raise NotNow(Problem("unavailable", "no_such_family", f"this node has no {family_of(op)}"))
    if agent == OPERATOR:
        return state
    if terms.full and op not in READS:
        hints = ("make room on that disk, then repeat the call", "what only reads is answered meanwhile")
        text = f"{terms.full}; nothing was done"
        raise NotNow(Problem("unavailable", "storage_full", text, hints=hints, retry_after_ms=FULL_RETRY_MS))
    if len(state.open.get(agent, _NONE)) >= OPEN_OF_AGENT_MAX:
        raise NotNow(_too_many())
    bucket = state.buckets.get(agent, Bucket(terms.burst, now_ns))
    gained = max(0, now_ns - bucket.time_ns) / 1e9 * terms.rate_per_s
    tokens = min(float(terms.burst), bucket.tokens + gained)
    if tokens < 1:
        wait_ms = int((1 - tokens) / terms.rate_per_s * 1e3) + 1
        text = f"more than {terms.rate_per_s:g} requests a second; {terms.burst} are allowed at once"
        raise NotNow(Problem("limit", "rate", text, retry_after_ms=wait_ms))
    return replace(state, buckets=state.buckets.set(agent, Bucket(tokens - 1, max(now_ns, bucket.time_ns))))


def _too_many() -> Problem:
    text = f"the agent has {OPEN_OF_AGENT_MAX} requests without an answer"
    return Problem("limit", "open_requests", text, retry_after_ms=FULL_RETRY_MS)


def _refuse(
    state: Intake, agent: str, entry: str, fields: dict[bytes, bytes], problem: Problem, now_ns: int
) -> Outcome:
    texts = [fields.get(name, b"").decode(errors="surrogateescape") for name in (b"id", b"op", b"body")]
    request_id = texts[0] if REQUEST_ID.fullmatch(texts[0]) else ""
    given = refusal(agent, request_id, problem)
    counted = f"{agent} {problem.code}"
    state = replace(state, refusals=state.refusals.set(counted, state.refusals.get(counted, 0) + 1))
    mark = mark_of(texts[1], texts[2])
    return state, [Push(agent, request_id, mark, given.text, (entry,), texts[1][:64], problem.kind, now_ns)]


def forward(state: Intake, agent: str, request_id: str, opened: OpenRequest, terms: Admission) -> Forward:
    """An open request, for its family."""
    actor: Actor = "admin" if agent == OPERATOR else "agent"
    session = state.sessions.get(agent, 0)
    request = AgentRequest(agent, session, request_id, opened.op, opened.body, actor, Ref(terms.me))
    return Forward(family_of(opened.op), request)


def with_open(state: Intake, agent: str, request_id: str, opened: OpenRequest) -> Intake:
    """With this request open."""
    requests = state.open.get(agent, _NONE)
    count = state.count + (request_id not in requests)
    return replace(state, open=state.open.set(agent, requests.set(request_id, opened)), count=count)


def _without(state: Intake, agent: str, request_id: str) -> Intake:
    requests = state.open[agent].without(request_id)
    rest = state.open.set(agent, requests) if requests else state.open.without(agent)
    return replace(state, open=rest, count=state.count - 1)
