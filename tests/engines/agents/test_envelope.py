"""Answers have one form; a request that comes again gets what it got, and is not done again."""

from __future__ import annotations

import json

import pytest

from engines.agents.answers import Answers
from engines.agents.bus import EXITS
from engines.agents.envelope import ERROR_TYPES, BodyError, Frame, Problem, failed, read_body, succeeded
from engines.agents.messages import AgentRequest
from engines.model import Ref


def request(request_id: str = "r1", body: str = "{}") -> AgentRequest:
    return AgentRequest("ann", 1, request_id, "state.current", body, "agent", Ref("bridge"))


def test_each_kind_of_error_has_a_type_and_an_exit_status() -> None:
    """False if an error could not be written, or its command would not know how to end."""
    assert ERROR_TYPES.keys() == EXITS.keys()


def test_an_answer_has_the_fields_that_the_guide_names() -> None:
    """False if a command could not show an answer."""
    answer = succeeded(request(), {"state": "inbox"}, Frame(7, {"unread": 2}, {"name": "p"}, ("hello",)))
    assert (answer.agent, answer.request_id, answer.kind) == ("ann", "r1", "")
    assert json.loads(answer.text) == {
        "success": True,
        "request_id": "r1",
        "agent": "ann",
        "seq": 7,
        "data": {"state": "inbox"},
        "measurements": {"unread": 2},
        "protocol": {"name": "p"},
        "notices": ["hello"],
    }


def test_a_refusal_says_what_is_wrong_and_when_to_try_again() -> None:
    """False if an agent could not act on a refusal."""
    answer = failed(request(), Problem("limit", "busy", "full", {"cap": 1}, ("wait",), 500))
    assert answer.kind == "limit"
    body = json.loads(answer.text)
    assert not body["success"]
    assert body["error"] == {
        "type": "coordination",
        "kind": "limit",
        "code": "busy",
        "message": "full",
        "details": {"cap": 1},
        "recovery_suggestions": ["wait"],
        "retry_after_ms": 500,
    }


@pytest.mark.parametrize("text", ["[]", "1", "{", '{"a":NaN}', "[" * 100_000, "\ud800"])
def test_a_body_that_is_no_object_is_refused(text: str) -> None:
    """False if a body could crash the family that reads it."""
    with pytest.raises(BodyError):
        read_body(text)


def test_a_request_that_comes_again_gets_its_answer() -> None:
    """False if a retry were done twice, or another request got the answer."""
    answers = Answers()
    assert answers.repeated(request()) is None
    given = succeeded(request(), {"n": 1})
    answers = answers.remember(request(), given)
    assert answers.repeated(request()) == given
    other = answers.repeated(request(body='{"x":1}'))
    assert other is not None
    assert other.kind == "conflict"
