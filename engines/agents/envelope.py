"""The form of requests and answers: JSON objects as text, which validator, router, orchestrator and measurement write.

An answer says what was done, or what is wrong and what to do next; the guide has a table of its fields. Whoever makes
one gives the data; the frame is the same for all. Numbers that JSON does not have (NaN, infinities) become null.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from .messages import AgentAnswer, AgentRequest

Json = Any
"""What JSON can say: None, bool, int, float, str, lists, and dictionaries with names."""

ERROR_TYPES: Final = {
    "validation": "validation",
    "timeout": "system",
    "usage": "usage",
    "identity": "identity",
    "unknown": "validation",
    "unavailable": "system",
    "limit": "coordination",
    "conflict": "coordination",
    "internal": "system",
}
"""From the kind of an error, which decides the exit status of the command, to its type."""


class Frame(msgspec.Struct, frozen=True):
    """What each answer says beside its data.

    `seq` counts the accepted changes of the agent. `protocol` has name, version, digest and whether it changed.
    """

    seq: int = 0
    measurements: Mapping[str, Json] = {}
    protocol: Mapping[str, Json] = {}
    notices: Sequence[str] = ()


class Problem(msgspec.Struct, frozen=True):
    """What is wrong with a request. `kind` is a key of `ERROR_TYPES`; `hints` say what to do next."""

    kind: str
    code: str
    message: str
    details: Mapping[str, Json] = {}
    hints: Sequence[str] = ()
    retry_after_ms: int | None = None


NO_FRAME: Final = Frame()


class BodyError(ValueError):
    """The body of a request is no JSON object."""


def read_body(text: str) -> dict[str, Json]:
    """The JSON object in the body of a request; an empty text stands for {}. Raises BodyError."""
    if not text:
        return {}
    try:
        body = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError, UnicodeEncodeError) as error:
        raise BodyError(f"the body is no JSON: {error}") from None
    if not isinstance(body, dict):
        raise BodyError("the body is no JSON object")
    return body


def succeeded(request: AgentRequest, data: Mapping[str, Json], frame: Frame = NO_FRAME) -> AgentAnswer:
    """The answer to a request that was done."""
    return _answer(request, {"data": data}, frame)


def failed(request: AgentRequest, problem: Problem, frame: Frame = NO_FRAME) -> AgentAnswer:
    """The answer to a request that was not done, and changed nothing."""
    error: dict[str, Json] = {
        "type": ERROR_TYPES[problem.kind],
        "kind": problem.kind,
        "code": problem.code,
        "message": problem.message,
        "details": problem.details,
        "recovery_suggestions": problem.hints,
    }
    if problem.retry_after_ms is not None:
        error["retry_after_ms"] = problem.retry_after_ms
    return _answer(request, {"error": error}, frame, problem.kind)


def _answer(request: AgentRequest, content: Mapping[str, Json], frame: Frame, kind: str = "") -> AgentAnswer:
    whole = {
        "success": not kind,
        "request_id": request.request_id,
        "agent": request.agent,
        "seq": frame.seq,
        **content,
        "measurements": frame.measurements,
        "protocol": frame.protocol,
        "notices": frame.notices,
    }
    return AgentAnswer(request.agent, request.request_id, msgspec.json.encode(whole).decode(), kind)
