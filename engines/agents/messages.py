"""Messages between the families for agents.

An operation goes from the bridge to one family, by its first word, and its answer comes back:

| operations | family |
|---|---|
| `state.*`, `context.*`, `protocol.*`, `override.*` | validator |
| `message.*` | router |
| `agent.*`, `session.*`, `prompt.*`, `limits.*`, `heartbeat` | orchestrator |
| `measure.*` | measurement |

Bodies and answers are JSON objects as text: agents write and read them. Who asks is known from the channel.
`operations.py` has the names of operations, and of the fields of their bodies.

The bridge holds nothing that matters. It sends an `AgentRequest` again, with the same id, where no answer has come for
some seconds or it has been started again: a family answers a repeat of a request that it has answered with the same
answer, and takes a repeat of one that still waits (`state.wait`) as that one.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

from engines.model import Message, Ref, Value

from .protocol.model import Actor, Datum


class AgentRequest(Message):
    """From the bridge: an agent, or the operator, asks for something. `session` is the one whose token was used."""

    agent: str
    session: int
    request_id: str
    op: str
    body: str
    actor: Actor
    reply_to: Ref[AgentAnswer]


class AgentAnswer(Message):
    """To the bridge: the answer, a JSON object as text. `kind`: of its error, or ""; see `bus.EXITS`."""

    agent: str
    request_id: str
    text: str
    kind: str = ""


class Enrol(Message):
    """From the orchestrator to the validator: there is an agent, which follows this protocol in this role."""

    agent: str
    role: str
    protocol: str
    reply_to: Ref[Enrolled]


class Enrolled(Message):
    """From the validator: the agent has a record, in this state; or it has none, for `reason`."""

    agent: str
    state: str
    reason: str = ""


class Retire(Message):
    """From the orchestrator to validator and router: the agent is gone for ever."""

    agent: str


class Enter(Message):
    """From the orchestrator to the validator: move the agent to a system state, or back.

    The state is one of `SYSTEM_STATES`; `back` is the string "back".
    """

    agent: str
    state: str
    reason: str


class AgentMoved(Message):
    """From the validator to router and orchestrator: an agent's state, after each change of its record.

    `is_new_visit` is False where only the context or the protocol changed. `number` counts the changes of this agent.
    `prompt` is what the state says to the agent; `wants` has effects for the orchestrator: `rotate`, `commit`,
    `stop ROLE`, `start ROLE`. `is_own`: the agent itself asked for the change.
    """

    agent: str
    role: str
    protocol: str
    version: str
    digest: str
    state: str
    before: str
    visit: int
    number: int
    is_new_visit: bool
    flags: tuple[str, ...]
    prompt: str = ""
    wants: tuple[str, ...] = ()
    is_own: bool = False


class ProtocolChanged(Message):
    """From the validator to router and orchestrator: this version is registered, and what it says about messages.

    `source` is the markdown text with what it extends, from which a receiver can read the protocol again.
    """

    name: str
    version: str
    digest: str
    source: str
    is_current: bool


class SendFor(Message):
    """From the validator to the router: a transition of `agent` sends a message of this type to a role or an agent."""

    agent: str
    request_id: str
    message: str
    to: str
    fields: tuple[tuple[str, Datum], ...] = ()


class Fact(Value):
    """A named fact for guards, such as `measure.context_percent`; percentages are 0 to 100."""

    name: str
    value: Datum


class MessageWaiting(Message):
    """From the router to the validator: a message came into the inbox of an agent (event `message` of its protocol).

    `facts` are those about the inbox, as in `FactsChanged`.
    """

    agent: str
    unread: int
    message_type: str
    facts: tuple[Fact, ...] = ()


class FactsChanged(Message):
    """From router, orchestrator and measurement to the validator: what is known now about an agent."""

    agent: str
    facts: tuple[Fact, ...]


class PromptWanted(Message):
    """To the orchestrator: prompt the agent. Prompts that wait for one agent with equal `reason` are one."""

    agent: str
    reason: Literal["start", "state", "message", "reminder", "migrated", "handover", "person", "alarm"]
    text: str


class Happened(Message):
    """To the bridge, measurement and the audit: something happened. Nobody waits for what they do with it.

    `number` counts the events of one family, from 1, without gaps. An event with `values` stands for so many of its
    kind, which happened within a second; what they have in common is in its fields.
    """

    number: int
    time_ns: int
    kind: str
    agent: str = ""
    session: int = 0
    state: str = ""
    visit: int = 0
    protocol: str = ""
    version: str = ""
    value: float | None = None
    unit: str = ""
    attributes: tuple[tuple[str, str], ...] = ()
    source: Literal["engine", "launcher", "log", "agent"] = "engine"
    confidence: Literal["measured", "derived", "estimated", "claimed"] = "measured"
    values: tuple[float, ...] = ()


class HappenedTogether(Message):
    """As `Happened`: events of one family, in the order of their numbers."""

    events: tuple[Happened, ...]


class ViewChanged(Message):
    """To the bridge: fields of an agent's view in the store. Numbers not above the one there are ignored."""

    agent: str
    number: int
    fields: tuple[tuple[str, str], ...]


class Resend(Message):
    """From the bridge to all families: the store is empty, or may have missed something. Send all views again.

    Validator, router and measurement send `ViewChanged` for each agent, the orchestrator that and `Admit` for each
    session that is alive. `start` counts the starts of the bridge and of its store, for the reader of a log.
    """

    start: int


Spoken: TypeAlias = (
    AgentRequest | AgentAnswer | AgentMoved | SendFor | MessageWaiting | FactsChanged | PromptWanted | ViewChanged
)


class Together(Message):
    """What one family says to another in one transition: as if each had come by itself, in this order.

    A family passes over what it has no rule for.
    """

    messages: tuple[Spoken, ...]


class Admit(Message):
    """From the orchestrator to the bridge: a session of an agent, and the SHA-256 of its token in hex."""

    agent: str
    session: int
    token_digest: str
    reply_to: Ref[Admitted]


class Admitted(Message):
    """From the bridge: the agent can put requests. `bus` is what its process gets as `AISM_BUS`."""

    agent: str
    session: int
    bus: str = ""


class Revoke(Message):
    """From the orchestrator to the bridge: the session is over; its token is worth nothing from now on."""

    agent: str
    session: int


class PutRequest(Message):
    """To the bridge: put a request as if the agent had put it into its stream."""

    agent: str
    request_id: str
    op: str
    body: str
    destination: Ref[RequestAnswered]


class RequestAnswered(Message):
    """From the bridge: the answer to a request that an engine put."""

    agent: str
    request_id: str
    text: str
    kind: str


class AgentSeen(Message):
    """From the bridge to the orchestrator: the agent has put a request, to whatever family.

    At most one a second for each agent: the first at once, and another at the end of that second if there were more. It
    is a sign of life, and that the agent has read its prompt, if `time_ns`, the time of its last request on the
    engines' clock, is after that prompt.
    """

    agent: str
    session: int
    time_ns: int = 0


class InboxAsked(Message):
    """From the orchestrator to the router: what is in the inbox of an agent?"""

    agent: str
    reply_to: Ref[InboxShown]


class InboxShown(Message):
    """From the router: how many messages are unread, and the ids of those that were read and not acknowledged.

    Of these at most 100 are named, the oldest.
    """

    agent: str
    unread: int
    unanswered: tuple[str, ...]
