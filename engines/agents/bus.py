"""The bus: keys and fields in the Redis-compatible store, and the form of requests and answers. Standard library only.

An agent adds its request to its own stream and waits at a list of its own for the answer:

    XADD  aism:<ns>:req:<agent>  id <request id>  op <operation>  body <JSON object>
    BLPOP aism:<ns>:rep:<agent>:<request id>

The answer is one JSON object (`docs/guides/agents.md`). The request stays in the stream until its answer is pushed.
"""

from __future__ import annotations

import re
from typing import Final

OPERATOR: Final = "admin"
"""The name under which operators put requests; no agent may have it."""

REQUEST_BYTES_MAX: Final = 64 << 10
ANSWER_KEPT_S: Final = 120
IDENTIFIER: Final = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}", re.ASCII)
REQUEST_ID: Final = re.compile(r"[A-Za-z0-9_.:-]{1,64}", re.ASCII)

EXITS: Final = {
    "validation": 1,
    "timeout": 2,
    "usage": 3,
    "identity": 4,
    "unknown": 5,
    "unavailable": 6,
    "limit": 7,
    "conflict": 8,
    "internal": 9,
}
"""The exit status of the command for each kind of error (`error.kind` of an answer); 0 without one."""


def request_key(namespace: str, agent: str) -> str:
    """The stream of an agent's requests."""
    return f"aism:{namespace}:req:{agent}"


def answer_key(namespace: str, agent: str, request_id: str) -> str:
    """The list with the answer to one request."""
    return f"aism:{namespace}:rep:{agent}:{request_id}"


def agent_key(namespace: str, agent: str) -> str:
    """The hash with the view of an agent."""
    return f"aism:{namespace}:ag:{agent}"


def events_key(namespace: str) -> str:
    """The stream of everything that happened."""
    return f"aism:{namespace}:ev"


def user_name(agent: str, session: int) -> str:
    """The user of the store for one session of an agent."""
    return f"{agent}.{session}"
