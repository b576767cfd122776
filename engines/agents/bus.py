"""The bus: keys and fields in the Redis-compatible store, and the form of requests and answers. Standard library only.

An agent adds its request to its own stream and waits at a list of its own for the answer:

    XADD  aism:<ns>:req:<agent>  id <request id>  op <operation>  body <JSON object>
    BLPOP aism:<ns>:rep:<agent>:<request id>

The answer is one JSON object (`docs/guides/agents.md`). The request stays in the stream until its answer is pushed.
Its first key, `mark`, says which content the answer is for: a request id that an agent uses again for another request
may find an answer to the first one in the list.

A token is `<session>-<secret>`: the number of the session says which user of the store it belongs to.
"""

from __future__ import annotations

from binascii import crc32

from .names import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Final

OPERATOR: Final = "admin"
"""The name under which operators put requests; no agent may have it."""

REQUEST_BYTES_MAX: Final = 64 << 10
ANSWER_KEPT_S: Final = 120
DEPTH_MAX: Final = 32
"""Levels of a JSON body."""

VALUES_MAX: Final = 10_000
"""Values of a JSON body."""

POINTER: Final = "engine/bus.json"
"""The file below the root folder from which operators read where the bus is, and their user and token. Mode 0600."""

LETTERS: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
DIGITS: Final = "0123456789"
LENGTH_MAX: Final = 64


class Form:
    """What names are like: their characters, and which of these may be the first. Importing `re` takes 7 ms."""

    def __init__(self, first: str, others: str) -> None:
        self._first, self._all = first, first + others

    def fullmatch(self, text: str) -> bool:
        """Whether the text is such a name."""
        return 0 < len(text) <= LENGTH_MAX and text[0] in self._first and not text.strip(self._all)


IDENTIFIER: Final = Form(LETTERS, DIGITS + "_-")
REQUEST_ID: Final = Form(LETTERS + DIGITS + "_.:-", "")

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


def session_of(token: str) -> int | None:
    """The session that a token belongs to; None if it is no token."""
    session, dash, secret = token.partition("-")
    is_one = dash and secret and session.isdecimal() and session.isascii() and len(session) < 19
    return int(session) if is_one else None


def mark_of(op: str, body: str) -> str:
    """Which content an answer is for."""
    return f"{crc32(f'{op} {body}'.encode('utf-8', 'surrogatepass')):08x}"


def marked(mark: str, answer: str) -> str:
    """An answer, a JSON object, with its mark in front."""
    rest = answer.lstrip()[1:].lstrip()
    return f'{{"mark":"{mark}"{"" if rest.startswith("}") else ","}{rest}'


def unmarked(mark: str, text: str) -> str | None:
    """The answer without its mark; None if it is for another content."""
    begin = f'{{"mark":"{mark}"'
    return "{" + text[len(begin) :].removeprefix(",") if text.startswith(begin) else None
