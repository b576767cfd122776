"""The state of the router, its parameters, and the ids of messages."""

from __future__ import annotations

from typing import Final, TypeAlias

from engines.model import Config, Effects, Map, Ref, Timer, Value

from ..answers import Answers
from ..messages import (
    AgentAnswer,
    AgentRequest,
    FactsChanged,
    Happened,
    HappenedTogether,
    InboxShown,
    MessageWaiting,
    PromptWanted,
    Together,
    ViewChanged,
)
from ..telling import Untold
from .conduct import Conduct, Peer
from .inbox import Inbox
from .wheel import Slot, Wheel

HEADS_MAX: Final = 1 << 16
"""Messages to which an agent can reply, of the whole router; the newest."""

LOOK: Final = Timer("look")
ENGINE: Final = "engine"
"""The sender of messages by the engine."""


class Ways(Config):
    """Where the router's messages go, and its bounds. `listeners` get everything that happened.

    A lease is over after `lease_ns`. An agent may send `note` without a declaration if `notes` is true.
    """

    validator: Ref[FactsChanged | MessageWaiting | Together] | None = None
    orchestrator: Ref[PromptWanted | Together] | None = None
    bridge: Ref[ViewChanged | Together] | None = None
    listeners: tuple[Ref[Happened | HappenedTogether], ...] = ()
    inbox_max: int = 10_000
    lease_ns: int = 600 * 10**9
    body_bytes_max: int = 64 << 10
    notes: bool = True


class Origin(Value):
    """What is kept of a message for its replies. `replies` are their types; None: the type says nothing."""

    id: str
    sender: str
    receiver: str
    message_type: str
    conversation: str
    is_broadcast: bool
    replies: tuple[str, ...] | None
    reply_until_ns: int = 0
    awaited: Slot | None = None


class Line(Value):
    """A message of a conversation, as it is shown later: `text` has the beginning of its text."""

    id: str
    sender: str
    receiver: str
    message_type: str
    at_ns: int
    text: str


class Thread(Value):
    """A conversation: its newest messages."""

    lines: tuple[Line, ...] = ()


class Parked(Value):
    """A request to read that waits for a message."""

    request: AgentRequest
    slot: Slot


class Routing(Value):
    """State: agents, what their protocols say, their inboxes; messages to reply to (`open`: that await a reply); what
    is due and when.

    `message` and `happened` count messages and events. `requests` has the number of each request that is parked.
    """

    peers: Map[str, Peer] = Map()
    conducts: Map[str, Conduct] = Map()
    roles: Map[str, Map[str, None]] = Map()
    inboxes: Map[str, Inbox] = Map()
    answers: Map[str, Answers] = Map()
    open: Map[int, Origin] = Map()
    heads: Map[int, Origin] = Map()
    heads_before: Map[int, Origin] = Map()
    threads: Map[str, Thread] = Map()
    threads_before: Map[str, Thread] = Map()
    parked: Map[int, Parked] = Map()
    wheel: Wheel = Wheel()
    look_ns: int = 0
    message: int = 0
    park: int = 0
    happened: int = 0
    untold: Untold = Untold()
    refused: Map[str, int] = Map()

    def head(self, number: int) -> Origin | None:
        """What is kept of a message."""
        return self.open.get(number) or self.heads.get(number) or self.heads_before.get(number)


Outward: TypeAlias = (
    AgentAnswer
    | FactsChanged
    | MessageWaiting
    | PromptWanted
    | Happened
    | HappenedTogether
    | ViewChanged
    | InboxShown
    | Together
)
Made: TypeAlias = Effects[Routing, Outward]


def message_id(now_ns: int, number: int) -> str:
    """The id of a message: ids are in the order of time, and none is used twice."""
    return f"m{now_ns // 1_000_000:012x}-{number:010x}"


def number_of(name: str) -> int:
    """The number in an id; -1 for a text that is no id."""
    _, dash, number = name.partition("-")
    is_one = dash and len(number) <= 15 and all(one in "0123456789abcdef" for one in number)
    return int(number, 16) if is_one and number else -1
