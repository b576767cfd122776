"""The validator: moves, repeats, conflicts, timeouts, what people override, and what others are told."""

from __future__ import annotations

import json
from random import Random
from typing import Any

from validator_desk import INBOX, MINUTE_NS, SECOND_NS, WIRING, ValidatorDesk

from engines.agents.messages import (
    AgentAnswer,
    AgentMoved,
    AgentRequest,
    Enrol,
    Enrolled,
    Happened,
    HappenedTogether,
    PromptWanted,
    ProtocolChanged,
    Resend,
    Retire,
    SendFor,
    ViewChanged,
)
from engines.agents.operations import FAMILIES, OPERATIONS
from engines.agents.protocol.parse import parse
from engines.agents.validation.validator import VALIDATOR
from engines.model import Ref
from host.sim import World


def kinds(messages: list[object]) -> list[str]:
    """The types of messages, without events."""
    return [type(one).__name__ for one in messages if not isinstance(one, Happened | HappenedTogether)]


def test_a_move_is_answered_and_everybody_is_told() -> None:
    """False if a move's answer, view, or notice to router and orchestrator lacks what changed."""
    desk = ValidatorDesk("ann")
    assert isinstance(desk.sent[-1].message, Enrolled)
    assert desk.sent[-1].message.state == "inbox"
    desk.wait(SECOND_NS)
    before = len(desk.sent)
    answer = desk.move("ann", "deep_work", context={"task": "dig", "bootstrap": "complete"}, reason="found one")
    assert answer["success"]
    assert (answer["seq"], answer["data"]["state"], answer["data"]["ignored"]) == (1, "deep_work", ["bootstrap"])
    assert answer["protocol"]["name"] == "inbox"
    sent = {one.target: one.message for one in desk.sent[before:]}
    assert set(sent) == {"router", "orchestrator", "bridge", "log"}
    moved = sent["router"]
    assert isinstance(moved, AgentMoved)
    assert (moved.state, moved.before, moved.visit, moved.number, moved.is_new_visit) == (
        "deep_work",
        "inbox",
        2,
        1,
        True,
    )
    assert dict(desk.record("ann").context.items()) == {"task": "dig"}
    history = desk.ask("ann", "state.history")["data"]["moves"]
    assert [(one["after"], one["reason"], one["attested"]) for one in history] == [
        ("deep_work", "found one", "When focused task identified")
    ]


def test_a_refused_context_says_which_value_is_wrong() -> None:
    """False if the line that people see names no field, or a call about no agent does not say what to add."""
    desk = ValidatorDesk("ann")
    error = desk.ask("ann", "context.set", values={"task": 3, "bogus": 1})["error"]
    assert error["message"].startswith("the context was not changed; ")
    assert "task: expected" in error["message"]
    assert "bogus: there is no such field" in error["message"]
    for agent, message, hint in (
        ("admin", "this is about an agent, and none is named", "--agent NAME"),
        ("nobody", "there is no agent 'nobody'", "aism agent ls"),
    ):
        error = desk.admin("state.current", agent=agent)["error"]
        assert (error["message"], error["recovery_suggestions"]) == (message, [hint])


def test_a_refusal_names_all_reasons_and_what_helps() -> None:
    """False if a refused agent is not told why, or what it may do."""
    desk = ValidatorDesk("ann")
    desk.learn("ann", inbox__unread=1)
    answer = desk.move("ann", "deep_work")
    assert not answer["success"]
    assert (answer["error"]["kind"], answer["error"]["code"]) == ("validation", "blocked")
    details = answer["error"]["details"]
    assert details["current_state"] == "inbox"
    assert details["blocked"][0]["missing"] == ["task"]
    assert answer["error"]["recovery_suggestions"] == ["aism state transition deep_work --context '{\"task\": ...}'"]
    assert desk.move("ann", "nowhere")["error"]["code"] == "unknown_state"
    assert desk.move("ann", "idle")["error"]["details"]["blocked"][0]["forbidden"]
    desk.learn("ann", inbox__unread=0)
    assert desk.ask("ann", "state.can")["data"]["allowed_transitions"] == ["idle"]
    assert desk.move("ann", "idle")["success"]
    assert desk.ask("nobody", "state.current")["error"]["kind"] == "unknown"
    assert desk.ask("ann", "protocol.load", source=INBOX)["error"]["kind"] == "identity"
    assert desk.ask("ann", "state.transition", target=3)["error"]["kind"] == "usage"


def test_can_says_who_makes_a_move_that_the_agent_does_not_make() -> None:
    """False if a move of the engine or of a person is left out, or has no reason."""
    desk = ValidatorDesk("ann")
    desk.learn("ann", inbox__unread=1)

    def reasons(**body: Any) -> list[tuple[str, str]]:
        found = desk.ask("ann", "state.can", **body)["data"]["blocked"]
        return [(one["target"], reason) for one in found for reason in (*one["awaiting"], *one["forbidden"])]

    assert ("done", "only admin may do this") in reasons()
    assert ("idle", "the engine makes this move after 5m") in reasons()
    assert reasons(target="done") == [("done", "only admin may do this")]
    desk.move("ann", "deep_work", context={"task": "dig"})
    by_engine = "the engine makes this move when `measure.context_percent >= 70%`"
    assert ("distill", by_engine) in reasons()
    assert ("distill", by_engine) in reasons(target="distill")
    source = INBOX.replace("1.0.0", "1.1.0").replace("- idle → inbox: By itself\n", "")
    desk.admin("protocol.load", source=source)
    desk.enrol("bob")
    desk.learn("bob", inbox__unread=0)
    desk.move("bob", "idle")
    answer = desk.ask("bob", "state.can", target="inbox")["data"]["blocked"]
    assert [one["awaiting"] for one in answer] == [["the engine makes this move on 'message'"]]


def test_v5_moves_of_one_agent_are_numbered_without_gaps() -> None:
    """False if of many that expect the same last change more than one wins, or a number is left out."""
    desk, random = ValidatorDesk("ann"), Random(5)
    desk.learn("ann", inbox__unread=0)
    numbers = []
    for _ in range(50):
        seq = desk.record("ann").number
        answers = [
            desk.move("ann", random.choice(("idle", "inbox")), expect_seq=seq) for _ in range(random.randint(2, 6))
        ]
        won = [one for one in answers if one["success"]]
        assert len(won) <= 1
        numbers += [one["seq"] for one in won]
        for one in answers:
            assert one["success"] or one["error"]["code"] in ("stale_seq", "no_transition")
    assert numbers == list(range(1, len(numbers) + 1))
    assert len(numbers) > 20
    views = [one.message.number for one in desk.sent if isinstance(one.message, ViewChanged)]
    assert views == list(range(1, len(numbers) + 2))


def test_v6_an_expectation_that_is_stale_is_a_conflict() -> None:
    """False if a move is made that expects another last change."""
    desk = ValidatorDesk("ann")
    assert desk.move("ann", "deep_work", context={"task": "a"}, expect_seq=0)["success"]
    answer = desk.move("ann", "inbox", expect_seq=0)
    assert (answer["error"]["kind"], answer["error"]["code"], answer["error"]["type"]) == (
        "conflict",
        "stale_seq",
        "coordination",
    )
    assert desk.record("ann").state == "deep_work"


def test_c5_a_request_that_comes_again_gets_the_answer_it_got() -> None:
    """False if a repeat moves again, or another content gets an answer."""
    desk = ValidatorDesk("ann")
    first = desk.move("ann", "deep_work", context={"task": "a"}, request_id="one")
    assert desk.move("ann", "deep_work", context={"task": "a"}, request_id="one") == first
    other = desk.move("ann", "deep_work", context={"task": "b"}, request_id="one")
    assert (other["error"]["kind"], other["error"]["code"]) == ("conflict", "request_id_used")
    assert desk.record("ann").number == 1


def test_v7_a_timeout_fires_once_and_not_for_an_earlier_visit() -> None:
    """False if a timeout fires twice, early, or after the state was left and entered again."""
    desk = ValidatorDesk("ann")
    desk.learn("ann", inbox__unread=0)
    desk.wait(4 * MINUTE_NS)
    assert desk.move("ann", "idle")["success"]
    assert desk.move("ann", "inbox")["success"]
    desk.wait(4 * MINUTE_NS)
    assert desk.record("ann").state == "inbox"
    moves = [one for one in desk.wait(2 * MINUTE_NS) if isinstance(one, AgentMoved)]
    assert [(one.state, one.before) for one in moves] == [("idle", "inbox")] * 2
    assert desk.record("ann").past[-1].cause == "timeout"
    assert [type(one) for one in desk.wait(11 * MINUTE_NS)] == [PromptWanted]


def test_v7_a_timeout_survives_a_restart_while_it_is_due() -> None:
    """False if a validator that is killed before its timeout loses it, or fires it twice."""
    world = World(seed=3)
    world.add("validator", VALIDATOR, WIRING, durability="crash")
    for name in ("router", "orchestrator", "bridge", "log"):
        world.received(name)
    body = json.dumps({"source": INBOX})
    world.send("validator", AgentRequest("admin", 1, "a", "protocol.load", body, "admin", Ref("bridge")))
    world.send("validator", Enrol("ann", "worker", "inbox", Ref("orchestrator")))
    world.run("4min")
    world.crash("validator")
    world.send("validator", AgentRequest("ann", 1, "b", "state.current", "{}", "agent", Ref("bridge")))
    world.run("3min")
    moved = [one for one in world.received("router") if isinstance(one, AgentMoved) and one.state == "idle"]
    assert len(moved) == 1
    answers = [one for one in world.received("bridge") if isinstance(one, AgentAnswer)]
    assert list(dict.fromkeys(one.request_id for one in answers)) == ["a", "b"]  # the outside may get one again


def test_v10_a_person_takes_an_agent_over_and_gives_it_back() -> None:
    """False if an agent moves in `direct`, its timeout fires there, or it comes back elsewhere."""
    desk = ValidatorDesk("ann")
    assert desk.ask("ann", "override.takeover", agent="ann", reason="x")["error"]["kind"] == "identity"
    assert desk.admin("override.takeover", agent="ann", reason="to look")["data"]["state"] == "direct"
    answer = desk.move("ann", "deep_work", context={"task": "a"})
    assert answer["error"]["code"] == "in_direct"
    desk.wait(10 * MINUTE_NS)
    assert desk.record("ann").shown == "direct"
    assert desk.admin("override.release", agent="ann", reason="done")["data"]["state"] == "inbox"
    desk.wait(SECOND_NS)
    assert desk.record("ann").state == "idle"
    assert desk.admin("override.force", agent="ann", target="distill", reason="since")["data"]["state"] == "distill"
    events = [one for one in desk.events() if one.kind == "override"]
    assert [dict(one.attributes)["reason"] for one in events] == ["to look", "done", "since"]


def test_v10_each_change_in_direct_is_from_direct_to_direct() -> None:
    """False if an agent changes its context while a person has it; or if the history, or an event of it, names another
    state than others see, so that a change does not begin where the one before it ended; or does not say where below
    `direct` a person has moved the agent."""
    desk = ValidatorDesk("ann")
    desk.admin("override.takeover", agent="ann", reason="to mend it")
    assert desk.ask("ann", "context.set", values={"task": "own"})["error"]["code"] == "in_direct"
    assert desk.admin("context.set", agent="ann", values={"task": "given"})["success"]
    moved = desk.admin("state.transition", agent="ann", target="done")["data"]
    assert (moved["before"], moved["after"], moved["below"]) == ("direct", "direct", "done")
    desk.admin("override.force", agent="ann", target="deep_work", reason="there is something to do")
    desk.admin("override.release", agent="ann", reason="mended")
    expected = [("inbox", "direct"), *[("direct", "direct")] * 3, ("direct", "deep_work")]
    moves = desk.ask("ann", "state.history")["data"]["moves"]
    assert [(one["before"], one["after"]) for one in reversed(moves)] == expected
    told = [dict(one.attributes) for one in desk.events() if one.kind in ("transition", "changed")]
    assert [(one["before"], one["after"]) for one in told] == expected
    below = ["inbox", "inbox", "done", "deep_work", ""]
    assert [one.get("below", "") for one in reversed(moves)] == below
    assert [one.get("below", "") for one in told] == below


def test_v10_a_quarantine_outlasts_a_takeover() -> None:
    """False if an agent in quarantine moves again because a person looked at it; or if only a person who starts it, and
    no release, could end the quarantine any more."""
    desk = ValidatorDesk("ann")
    desk.enter("ann", "quarantined")
    for reason in ("to look", "again"):
        assert desk.admin("override.takeover", agent="ann", reason=reason)["data"]["state"] == "direct"
        assert desk.admin("override.release", agent="ann", reason="seen")["data"]["state"] == "quarantined"
    assert desk.move("ann", "deep_work", context={"task": "a"})["error"]["code"] == "in_quarantined"
    desk.admin("override.takeover", agent="ann", reason="to start it")
    desk.enter("ann", "back")
    assert desk.record("ann").shown == "inbox"


def test_the_engine_moves_on_messages_and_facts() -> None:
    """False if an agent is not woken by a message, or not moved when a fact makes a guard true."""
    desk = ValidatorDesk("ann")
    desk.learn("ann", inbox__unread=0)
    desk.move("ann", "idle")
    desk.message("ann")
    assert desk.record("ann").state == "inbox"
    desk.move("ann", "deep_work", context={"task": "a"})
    desk.learn("ann", measure__context_percent=60, context__task="forged")
    assert desk.record("ann").state == "deep_work"
    desk.wait(10 * SECOND_NS)
    desk.learn("ann", measure__context_percent=71.5)
    assert desk.record("ann").state == "distill"
    assert desk.record("ann").context["task"] == "a"
    answer = desk.move("ann", "inbox")
    assert answer["success"]
    moved = [one.message for one in desk.sent if isinstance(one.message, AgentMoved)]
    assert moved[-1].wants == ("rotate",)


def test_an_agent_that_comes_to_wait_is_woken_by_what_waits_already() -> None:
    """False if an agent sleeps in a state that a message moves on, while it has one."""
    desk = ValidatorDesk("ann", source=INBOX.replace("  - guard: `inbox.unread == 0`\n", ""))
    desk.message("ann")
    answer = desk.move("ann", "idle")
    assert (answer["data"]["after"], answer["data"]["then"], answer["data"]["state"]) == ("idle", ["inbox"], "inbox")
    desk.learn("ann", inbox__unread=0)
    assert desk.move("ann", "idle")["data"]["state"] == "idle"


def test_a_transition_sends_its_message_with_the_fields_of_the_context() -> None:
    """False if the router does not get what a transition sends."""
    desk = ValidatorDesk("ann")
    desk.move("ann", "deep_work", context={"task": "dig"})
    desk.wait(10 * SECOND_NS)
    desk.move("ann", "inbox", request_id="back")
    [sent] = [one.message for one in desk.sent if isinstance(one.message, SendFor)]
    assert sent == SendFor("ann", "back", "task_done", "supervisor", (("task", "dig"),))


def test_waiting_ends_with_a_change_a_condition_or_the_time() -> None:
    """False if a request that waits is answered early, never, or twice."""
    desk = ValidatorDesk("ann")
    assert desk.ask("ann", "state.wait", timeout=MINUTE_NS, request_id="w") == {}
    assert desk.ask("ann", "state.wait", timeout=MINUTE_NS, request_id="w") == {}
    assert desk.ask("ann", "state.wait", timeout=MINUTE_NS, until="inbox.unread > 1", request_id="u") == {}
    assert desk.ask("ann", "state.wait", timeout=MINUTE_NS, until="inbox.x", request_id="v")["error"]["kind"] == "usage"
    desk.move("ann", "deep_work", context={"task": "dig"})
    answers = [one.message for one in desk.sent if isinstance(one.message, AgentAnswer)]
    assert [one.request_id for one in answers if one.request_id in ("w", "u")] == ["w"]
    sent = desk.learn("ann", inbox__unread=2)
    assert [one.request_id for one in sent if isinstance(one, AgentAnswer)] == ["u"]
    desk.ask("ann", "state.wait", timeout=MINUTE_NS, request_id="t")
    late = [json.loads(one.text) for one in desk.wait(MINUTE_NS) if isinstance(one, AgentAnswer)]
    assert [(one["request_id"], one["data"]["is_met"]) for one in late] == [("t", False)]


def test_peers_are_counted_and_move_the_others() -> None:
    """False if an agent that waits for another one in a state is not moved when that comes there."""
    source = """\
---
version: 1.0.0
---
# Protocol: meet

## States
- outside (initial): Before
- ready: Waits
- inside (final): Together

## Transitions
- outside → ready: Come
- ready → inside by engine: All are there
  - guard: `peers.count(worker, ready) >= 2 or peers.count(worker, inside) >= 1`

## Roles
- worker: all
"""
    desk = ValidatorDesk(source=source)
    desk.enrol("ann", protocol="meet")
    desk.enrol("ben", protocol="meet")
    assert desk.move("ann", "ready")["data"]["state"] == "ready"
    assert desk.move("ben", "ready")["data"]["state"] == "inside"
    assert {desk.record(name).state for name in ("ann", "ben")} == {"inside"}
    assert dict(desk.state.population.items()) == {"worker,inside": 2}
    desk.take(Retire("ann"))
    assert dict(desk.state.population.items()) == {"worker,inside": 1}
    assert desk.ask("ann", "state.current")["error"]["kind"] == "unknown"


NOTHING_TO_DO = """---
version: 1.0.0
---
# Protocol: lazy

## States
- awake (initial, safe): Looking
- asleep (safe, idle): Nothing to do

## Transitions
- awake → asleep: When no actionable items
  - guard: `inbox.unread == 0`
- asleep → awake on message by engine: Woken
"""


def test_an_agent_without_messages_has_none_unread() -> None:
    """False if a move that an empty inbox opens waited for the first message that the agent ever gets."""
    desk = ValidatorDesk("ann")
    desk.admin("protocol.load", source=NOTHING_TO_DO, current=True)
    desk.enrol("ben", protocol="lazy")
    assert desk.ask("ben", "state.can", target="asleep")["data"]["allowed_transitions"] == ["asleep"]


def test_p7_an_edited_version_is_refused_unless_only_its_prose_changed() -> None:
    """False if a version comes to mean something else under the agents that have pinned it."""
    desk = ValidatorDesk("ann")
    answer = desk.admin("protocol.load", source=INBOX.replace("Context compression", "Other words"))
    assert answer["data"]["stage"] == "current"
    answer = desk.admin("protocol.load", source=INBOX.replace("max_duration: 5m", "max_duration: 6m"))
    assert (answer["error"]["kind"], answer["error"]["code"]) == ("conflict", "E-DIGEST")


def test_protocols_are_loaded_shown_and_forgotten() -> None:
    """False if a broken text is registered, or a version that is in use is forgotten."""
    desk = ValidatorDesk("ann")
    answer = desk.admin("protocol.load", source="# Protocol: x\n\n## States\n- a b c\n")
    assert answer["error"]["kind"] == "validation"
    assert answer["error"]["details"]["findings"][0]["line"]
    newer = INBOX.replace("version: 1.0.0", "version: 1.1.0\npolicy: pinned").replace("5m", "6m")
    dry = desk.admin("protocol.load", source=newer, dry_run=True)
    assert dry["success"]
    assert len(desk.state.versions) == 1
    assert desk.admin("protocol.load", source=newer, current=False)["data"]["stage"] == "idle"
    assert desk.admin("protocol.approve", name="inbox", version="1.1.0")["data"]["stage"] == "current"
    desk.enrol("ben")
    assert (desk.record("ann").version, desk.record("ben").version) == ("1.0.0", "1.1.0")
    assert "agents follow it" in desk.admin("protocol.retire", name="inbox", version="1.0.0")["error"]["message"]
    assert "+  - max_duration: 6m" in desk.ask("ann", "protocol.show", version="1.1.0", diff="1.0.0")["data"]["text"]
    assert desk.ask("ann", "protocol.show", section="roles")["data"]["text"].startswith("## Roles\n- worker")
    error = desk.ask("ann", "protocol.show", section="rules")["error"]
    assert error["message"] == "inbox 1.0.0 has no section 'rules'"
    assert error["recovery_suggestions"][0].startswith("sections: States, Transitions")
    rows = desk.ask("ann", "protocol.list")["data"]["protocols"]
    assert [(one["version"], one["stage"]) for one in rows] == [("1.0.0", "draining"), ("1.1.0", "current")]
    changes = [one.message for one in desk.sent if isinstance(one.message, ProtocolChanged)]
    assert changes[-1].is_current


def test_enrolling_and_views_again() -> None:
    """False if an agent without a protocol is enrolled, one that is there is changed, or a view is left out."""
    desk = ValidatorDesk("ann", "ben")
    assert "no protocol 'none'" in desk.enrol("cat", protocol="none").reason
    assert "has no role 'chef'; it has worker" in desk.enrol("cat", role="chef").reason
    desk.move("ann", "deep_work", context={"task": "a"})
    assert desk.enrol("ann").state == "deep_work"
    views = desk.take(Resend(1))
    assert [(one.agent, one.number, dict(one.fields)["state"]) for one in views] == [
        ("ann", 2, "deep_work"),
        ("ben", 1, "inbox"),
    ]
    assert desk.ask("ann", "state.current", session=2)["success"]
    assert desk.ask("ann", "state.current", session=1)["error"]["code"] == "old_session"
    desk.enter("ann", "crashed")
    assert desk.record("ann").shown == "crashed"
    desk.enter("ann", "back")
    assert desk.record("ann").shown == "deep_work"


def test_a_protocol_is_loaded_with_what_it_extends() -> None:
    """False if an agent cannot do what the base allows, or the base is not asked for."""
    child = "---\nversion: 1.0.0\nextends: inbox@^1.0\n---\n# Protocol: mine\n\n## States\n- more: Another\n\n"
    child += "## Transitions\n- inbox → more: If it wants\n- more → inbox: And back\n"
    desk = ValidatorDesk(source="")
    assert desk.admin("protocol.load", source=child)["error"]["code"] == "E-UNDEF-PROTOCOL"
    assert desk.admin("protocol.load", source=INBOX)["success"]
    desk.sent.clear()
    answer = desk.admin("protocol.load", source=child)
    assert answer["success"], answer
    told = [one.message for one in desk.sent if isinstance(one.message, ProtocolChanged)]
    assert "task_done" in {one.id for one in parse(told[0].source).protocol.messages}
    assert "## Messages" in desk.admin("protocol.show", name="mine")["data"]["text"]
    desk.enrol("ann", protocol="mine")
    assert desk.move("ann", "more")["success"]
    assert desk.move("ann", "inbox")["success"]
    assert desk.move("ann", "deep_work", context={"task": "a"})["success"]


def odd(random: Random, depth: int = 3) -> object:
    """A JSON value by chance."""
    odds = (
        None,
        True,
        -1,
        0,
        2**63,
        -(2**63),
        1.5,
        1e300,
        "",
        "inbox",
        "a\0b",
        "\u202e" * 3,
        "x" * 70_000,
        "ann",
        "deep_work",
    )
    kind = random.random()
    if depth and kind < 0.15:
        return [odd(random, depth - 1) for _ in range(random.randint(0, 3))]
    if depth and kind < 0.4:
        names = ("task", "estimate", "goal", "x" * 100, "", "from", "agent")
        return {random.choice(names): odd(random, depth - 1) for _ in range(random.randint(0, 3))}
    return random.choice(odds)


def test_c11_whatever_a_body_says_there_is_an_answer() -> None:
    """False if a request fails the validator, or leaves its agent without an answer."""
    desk, random = ValidatorDesk("ann"), Random(11)
    ops = [op for op, one in OPERATIONS.items() if FAMILIES[op.partition(".")[0]] == "validator"]
    kinds = set()
    for _ in range(1_500):
        op = random.choice(ops)
        fields = {name.removesuffix("?"): odd(random) for name in OPERATIONS[op].fields if random.random() < 0.8}
        answer = desk.ask("ann", op, actor=random.choice(("admin", "agent")), **fields)
        kinds.add(answer["error"]["kind"] if answer and not answer["success"] else "")
    assert kinds >= {"", "usage", "validation", "identity", "unknown"}
