"""Open requests: let in once, answered all, refused beyond the bounds."""

from __future__ import annotations

import json
from typing import Any

from engines.agents.bridge.intake import (
    OPEN_OF_AGENT_MAX,
    REPEAT_NS,
    Admission,
    Forward,
    Intake,
    Push,
    answer,
    arrive,
    emptied,
    overdue,
)
from engines.agents.envelope import succeeded
from engines.agents.messages import AgentAnswer
from engines.model import Map

SECOND_NS = 1_000_000_000
TERMS = Admission(10.0, 30, ("validator", "orchestrator"), "bridge")
EMPTY = Intake(sessions=Map({"ann": 3}))


def fields(request_id: str = "r", op: str = "state.current", body: str = "{}") -> dict[bytes, bytes]:
    """Of an entry."""
    return {b"id": request_id.encode(), b"op": op.encode(), b"body": body.encode()}


def error(deed: Any) -> dict[str, Any]:
    """Of an answer that was pushed."""
    assert isinstance(deed, Push)
    found: dict[str, Any] = json.loads(deed.text)["error"]
    return found


def given(forward: Any) -> AgentAnswer:
    """An answer to what was sent on."""
    assert isinstance(forward, Forward)
    return succeeded(forward.request, {"body": forward.request.body})


def test_a_request_goes_to_its_family_with_who_asks() -> None:
    """False if a family does not know who asks, or another one gets it."""
    state, [forward] = arrive(EMPTY, "ann", "1-0", fields(), TERMS, 0)
    assert isinstance(forward, Forward)
    assert forward.family == "validator"
    request = forward.request
    assert (request.agent, request.session, request.actor, request.reply_to) == ("ann", 3, "agent", "bridge")
    state, [push] = answer(state, given(forward), TERMS, 1)
    assert isinstance(push, Push)
    assert (push.agent, push.request_id, push.entries, push.kind) == ("ann", "r", ("1-0",), "")
    assert (state.open, state.count) == (Map(), 0)
    _, [forward] = arrive(EMPTY, "admin", "1-0", fields(op="agent.stop"), TERMS, 0)
    assert isinstance(forward, Forward)
    assert (forward.family, forward.request.actor) == ("orchestrator", "admin")


def test_c5_a_retry_waits_with_the_open_request() -> None:
    """False if a request in flight is sent twice, or a retry is never answered."""
    state, [forward] = arrive(EMPTY, "ann", "1-0", fields(), TERMS, 0)
    state, none = arrive(state, "ann", "2-0", fields(), TERMS, 1)
    state, none_again = arrive(state, "ann", "1-0", fields(), TERMS, 1)
    assert none == none_again == []
    state, [push] = answer(state, given(forward), TERMS, 2)
    assert isinstance(push, Push)
    assert push.entries == ("1-0", "2-0")
    assert answer(state, given(forward), TERMS, 3) == (state, [])


def test_c5_other_content_under_an_id_in_flight_waits_for_its_turn() -> None:
    """False if the caller of one content gets the answer to another one."""
    state, [first] = arrive(EMPTY, "ann", "1-0", fields(), TERMS, 0)
    state, none = arrive(state, "ann", "2-0", fields(body='{"target":"x"}', op="state.can"), TERMS, 1)
    assert none == []
    state, [push, forward] = answer(state, given(first), TERMS, 2)
    assert isinstance(push, Push)
    assert isinstance(forward, Forward)
    assert (push.entries, forward.request.op) == (("1-0",), "state.can")
    state, [second] = answer(state, given(forward), TERMS, 3)
    assert isinstance(second, Push)
    assert second.entries == ("2-0",)
    assert second.mark != push.mark
    assert state.count == 0


def test_a_bucket_is_empty_after_the_burst_and_fills_with_time() -> None:
    """False if an agent can flood its family, or waits longer than it was told."""
    state, kinds = EMPTY, []
    for number in range(32):
        state, [deed] = arrive(state, "ann", f"{number}-0", fields(f"r{number}"), TERMS, 0)
        kinds.append(type(deed).__name__)
    assert kinds == ["Forward"] * 30 + ["Push"] * 2
    assert error(deed)["code"] == "rate"
    wait_ms = error(deed)["retry_after_ms"]
    assert 100 <= wait_ms <= 101
    state, [other] = arrive(state, "bob", "9-0", fields(), TERMS, 0)
    assert isinstance(other, Forward)
    _, [later] = arrive(state, "ann", "50-0", fields("r50"), TERMS, wait_ms * 1_000_000)
    assert isinstance(later, Forward)
    assert state.refusals == Map({"ann rate": 2})


def test_an_agent_has_a_bound_of_open_requests() -> None:
    """False if one agent can hold all places of the bridge."""
    state = EMPTY
    for number in range(OPEN_OF_AGENT_MAX):
        state, [deed] = arrive(state, "ann", f"{number}-0", fields(f"r{number}"), TERMS, number * SECOND_NS)
        assert isinstance(deed, Forward)
    _, [deed] = arrive(state, "ann", "x", fields("more"), TERMS, 10**6 * SECOND_NS)
    assert error(deed)["code"] == "open_requests"
    for number in range(OPEN_OF_AGENT_MAX - 1):
        state, none = arrive(state, "ann", f"again-{number}", fields("r0"), TERMS, 0)
        assert none == []
    _, [deed] = arrive(state, "ann", "once more", fields("r0"), TERMS, 0)
    assert error(deed)["code"] == "open_requests"


def test_what_is_wrong_is_refused_at_once() -> None:
    """False if a bad request waits for an answer that never comes."""
    _, [deed] = arrive(EMPTY, "ann", "1-0", fields(op="agent.stop"), TERMS, 0)
    assert (error(deed)["kind"], error(deed)["type"]) == ("identity", "identity")
    _, [deed] = arrive(EMPTY, "ann", "1-0", fields(op="measure.self"), TERMS, 0)
    assert (error(deed)["kind"], error(deed)["code"]) == ("unavailable", "no_such_family")
    _, [deed] = arrive(EMPTY, "ann", "1-0", {b"id": b"\xff\0", b"x": b"y"}, TERMS, 0)
    assert isinstance(deed, Push)
    assert (deed.request_id, deed.entries) == ("", ("1-0",))


def test_a_request_without_an_answer_is_sent_again() -> None:
    """False if a request is lost with the process of its family."""
    state, [first] = arrive(EMPTY, "ann", "1-0", fields(), TERMS, 0)
    assert overdue(state, TERMS, REPEAT_NS - 1) == (state, [])
    state, again = overdue(state, TERMS, REPEAT_NS)
    assert again == [first]
    assert overdue(state, TERMS, REPEAT_NS + 1) == (state, [])


def test_after_the_store_was_gone_all_entries_are_new() -> None:
    """False if an entry that is read again is taken for one that is open."""
    state, [first] = arrive(EMPTY, "ann", "1-0", fields(), TERMS, 0)
    state, again = arrive(emptied(state), "ann", "1-0", fields(), TERMS, 1)
    assert again == [first]
    assert state.count == 1
