"""Open requests: let in once, answered all, refused beyond the bounds."""

from __future__ import annotations

import json
from typing import Any

from msgspec.structs import replace

from engines.agents.bridge.intake import (
    OPEN_OF_AGENT_MAX,
    Admission,
    Forward,
    Intake,
    Outcome,
    Push,
    answer,
    arrive,
    emptied,
)
from engines.agents.bridge.unanswered import REPEAT_NS, STRANDED_NS, overdue, stranded
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


def pushed(outcome: Outcome) -> list[Push]:
    """The answers of an outcome."""
    return [one for one in outcome[1] if isinstance(one, Push)]


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
    state, [again, _probe] = overdue(state, TERMS, REPEAT_NS)
    assert again == first
    assert overdue(state, TERMS, REPEAT_NS + 1) == (state, [])
    assert [one.request_id for one in pushed(answer(state, given(first), TERMS, REPEAT_NS + 1))] == ["r"]


def test_what_its_family_fails_on_is_answered_so_and_nothing_else() -> None:
    """False if a request that its family sets aside is repeated for ever, or one is given up that is slow, or that may
    be answered later."""
    state = EMPTY
    bodies = {"state.wait": '{"timeout":1}'}
    for number, op in enumerate(("state.transition", "state.wait", "agent.add")):
        state, _ = arrive(state, "admin", f"{number}-0", fields(op, op, bodies.get(op, "{}")), TERMS, 0)
    state, deeds = overdue(state, TERMS, REPEAT_NS)
    probes = [one for one in deeds if isinstance(one, Forward) and one.request.op == "state.probe"]
    assert [one.family for one in probes] == ["validator"]
    assert deeds[-1] == probes[0], "the family takes the probe last"
    state, _ = arrive(state, "admin", "9-0", fields("later", "state.transition"), TERMS, REPEAT_NS)
    [broken] = pushed(answer(state, given(probes[0]), TERMS, REPEAT_NS + 1))
    assert (broken.request_id, broken.kind) == ("state.transition", "internal")
    assert error(broken)["code"] == "broken_request"
    state, _ = answer(state, given(probes[0]), TERMS, REPEAT_NS + 1)
    assert set(state.open["admin"]) == {"state.wait", "agent.add", "later"}
    assert answer(state, given(probes[0]), TERMS, REPEAT_NS + 2) == (state, [])


def test_an_answer_to_an_earlier_probe_says_nothing_of_what_was_sent_after_it() -> None:
    """False if a request is given up though its family has not come to it."""
    state, _ = arrive(EMPTY, "ann", "1-0", fields(), TERMS, 0)
    state, [_, probe] = overdue(state, TERMS, REPEAT_NS)
    state, [_, _next] = overdue(state, TERMS, 2 * REPEAT_NS)
    assert answer(state, given(probe), TERMS, 2 * REPEAT_NS + 1) == (state, [])


def test_without_room_agents_read_and_what_changes_something_is_refused() -> None:
    """False if a request that cannot be recorded waits, or an operator or a reader is kept out."""
    full = replace(TERMS, full="the disk of /here has 3 KiB left")
    _, [refused] = arrive(EMPTY, "ann", "1-0", fields(op="state.transition"), full, 0)
    assert (error(refused)["kind"], error(refused)["code"]) == ("unavailable", "storage_full")
    assert error(refused)["message"] == "the disk of /here has 3 KiB left; nothing was done"
    assert "make room" in error(refused)["recovery_suggestions"][0]
    for agent, op in (("ann", "state.current"), ("admin", "state.transition")):
        _, [let_in] = arrive(EMPTY, agent, "1-0", fields(op=op), full, 0)
        assert isinstance(let_in, Forward)


def test_what_is_under_way_when_there_is_no_room_is_answered_as_unknown() -> None:
    """False if its caller waits for nothing, or is told that it was not done, which nobody knows."""
    full = replace(TERMS, full="the disk of /here has 3 KiB left")
    state = EMPTY
    for op in ("state.transition", "state.wait"):
        state, _ = arrive(state, "ann", op, fields(op, op, '{"timeout":1}'), TERMS, 0)
    assert stranded(state, full, STRANDED_NS - 1) == (state, [])
    state, [told] = stranded(state, full, STRANDED_NS)
    assert (error(told)["kind"], error(told)["code"]) == ("timeout", "storage_full")
    assert set(state.open["ann"]) == {"state.wait"}


def test_after_the_store_was_gone_all_entries_are_new() -> None:
    """False if an entry that is read again is taken for one that is open."""
    state, [first] = arrive(EMPTY, "ann", "1-0", fields(), TERMS, 0)
    state, again = arrive(emptied(state), "ann", "1-0", fields(), TERMS, 1)
    assert again == [first]
    assert state.count == 1
