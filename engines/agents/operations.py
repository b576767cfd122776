"""The operations: their names, who may ask for them, which family answers, and the fields of their bodies.

The command `aism state transition` puts the operation `state.transition`; its arguments and options are the fields of
the body, a JSON object. Standard library only: the command reads this table too.

Kinds of fields: `text`, `count`, `bool`, `duration` (in nanoseconds), `texts` (a list), `object`, `value` (any scalar).
A field whose name ends in `?` may be left out.
"""

from __future__ import annotations

from .names import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from typing import Final, Literal, TypeAlias

    Family: TypeAlias = Literal["validator", "router", "orchestrator", "measurement"]
else:
    Family = str

FAMILIES: Final[dict[str, Family]] = {
    "state": "validator",
    "context": "validator",
    "protocol": "validator",
    "override": "validator",
    "message": "router",
    "agent": "orchestrator",
    "session": "orchestrator",
    "prompt": "orchestrator",
    "limits": "orchestrator",
    "heartbeat": "orchestrator",
    "measure": "measurement",
}
"""The family that answers, by the first word of the operation."""


class Operation(NamedTuple):
    """What an operation does, the fields of its body, and whether only operators may ask for it."""

    text: str
    fields: dict[str, str]
    is_for_operators: bool = False


OPERATIONS: Final[dict[str, Operation]] = {
    "state.current": Operation("Where am I, and what may I do.", {}),
    "state.transition": Operation(
        "Move to a state, with the fields that the move requires as `context`.",
        {"target?": "text", "context?": "object", "reason?": "text", "event?": "text", "expect_seq?": "count"},
    ),
    "state.can": Operation(
        "Which moves are possible, and what blocks the others; changes nothing.", {"target?": "text"}
    ),
    "state.history": Operation("The last moves.", {"count?": "count", "before?": "count"}),
    "state.wait": Operation(
        "Wait until the state changes, or until a condition holds.",
        {"change?": "bool", "until?": "text", "timeout": "duration"},
    ),
    "context.get": Operation("The fields of the context.", {"key?": "text"}),
    "context.set": Operation("Set fields of the context.", {"values": "object", "expect_seq?": "count"}),
    "protocol.list": Operation("The protocols that are registered.", {"after?": "text"}),
    "protocol.show": Operation(
        "A protocol, or a section of it.",
        {"name?": "text", "version?": "text", "section?": "text", "diff?": "text", "effective?": "bool"},
    ),
    "message.send": Operation(
        "Send a message to an agent, to `role:NAME`, or to `@all`.",
        {
            "to": "text",
            "text?": "text",
            "type?": "text",
            "fields?": "object",
            "reply_to?": "text",
            "conversation?": "text",
            "expires?": "duration",
        },
    ),
    "message.read": Operation(
        "Read messages of the inbox, the oldest first; `ack` has those of earlier reads that are dealt with.",
        {
            "unread?": "bool",
            "type?": "text",
            "from?": "text",
            "max?": "count",
            "wait?": "duration",
            "peek?": "bool",
            "ack?": "texts",
        },
    ),
    "message.ack": Operation("Messages are dealt with.", {"ids": "texts"}),
    "message.refuse": Operation("Give a message back to its sender.", {"id": "text", "reason": "text"}),
    "message.thread": Operation("The messages of a conversation.", {"conversation": "text", "after?": "text"}),
    "measure.self": Operation("What is measured about me.", {}),
    "measure.system": Operation("What is measured about the whole.", {}),
    "measure.peers": Operation("What is measured about the others.", {"after?": "text"}),
    "measure.record": Operation("Record a value that the protocol declares.", {"id": "text", "value": "value"}),
    "session.register": Operation(
        "The session of the agent's program, and its log.",
        {"session_id?": "text", "transcript?": "text", "model?": "text", "source?": "text"},
    ),
    "session.handover": Operation("Hand over to the next session, by a file in the workspace.", {"file": "text"}),
    "session.status": Operation("The session, and how full its context is.", {}),
    "heartbeat": Operation("I am alive.", {}),
    "protocol.load": Operation(
        "Register a version of a protocol, as markdown.",
        {"source": "text", "file?": "text", "current?": "bool", "dry_run?": "bool"},
        True,
    ),
    "protocol.approve": Operation("Make a version the current one.", {"name": "text", "version": "text"}, True),
    "protocol.drain": Operation("Give a version to no new agent.", {"name": "text", "version": "text"}, True),
    "protocol.retire": Operation("Forget a version that nobody follows.", {"name": "text", "version": "text"}, True),
    "protocol.migrate": Operation(
        "Move agents to a version.",
        {"name": "text", "version": "text", "agents?": "texts", "dry_run?": "bool", "policy?": "text"},
        True,
    ),
    "protocol.rollback": Operation(
        "Move agents of a version back to the one they had before.",
        {"name": "text", "version": "text", "agents?": "texts"},
        True,
    ),
    "override.takeover": Operation("A person takes over an agent.", {"agent": "text", "reason": "text"}, True),
    "override.release": Operation("A person gives an agent back.", {"agent": "text", "reason": "text"}, True),
    "override.force": Operation(
        "Move an agent, whatever its protocol says.", {"agent": "text", "target": "text", "reason": "text"}, True
    ),
    "agent.add": Operation(
        "Add an agent.",
        {
            "agent": "text",
            "role?": "text",
            "protocol?": "text",
            "command?": "texts",
            "isolation?": "text",
            "mode?": "text",
            "limits?": "object",
            "environment?": "object",
            "network?": "bool",
            "start?": "bool",
        },
        True,
    ),
    "agent.list": Operation("The agents, and how they are.", {"after?": "text"}, True),
    "agent.show": Operation("An agent, and how it is.", {"agent": "text"}, True),
    "agent.start": Operation("Start an agent.", {"agent": "text"}, True),
    "agent.stop": Operation("Stop an agent.", {"agent": "text", "now?": "bool", "reason?": "text"}, True),
    "agent.restart": Operation("Restart an agent.", {"agent": "text", "fresh?": "bool", "reason?": "text"}, True),
    "agent.pause": Operation(
        "Send an agent no prompts, or send them again.", {"agent": "text", "resume?": "bool", "reason?": "text"}, True
    ),
    "agent.remove": Operation("Remove an agent for ever.", {"agent": "text"}, True),
    "agent.rotate_token": Operation("Give an agent a new token at its next start.", {"agent": "text"}, True),
    "prompt.send": Operation("Prompt an agent.", {"agent": "text", "text": "text"}, True),
    "limits.show": Operation("The limits of an agent.", {"agent": "text"}, True),
    "limits.set": Operation("Set limits of an agent.", {"agent": "text", "limits": "object"}, True),
}
"""By name. Operators may ask for those of agents too, of which each takes a field `agent` then."""

READS: Final = frozenset(
    (
        *("state.current", "state.can", "state.history", "state.wait", "context.get", "protocol.list", "protocol.show"),
        *("message.read", "message.thread", "measure.self", "measure.system", "measure.peers", "session.status"),
    )
)
"""What agents may ask for while there is no room on the disk to record a change."""

WAITS: Final = frozenset(("state.wait", "message.read", "agent.add", "session.handover"))
"""What a family may answer long after it has taken the request."""


def family_of(op: str) -> Family:
    """The family that answers an operation."""
    return FAMILIES[op.partition(".")[0]]
