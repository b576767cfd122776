"""Versions of protocols: what is different, whether agents can be moved, and that they are, all or none, and back."""

from __future__ import annotations

from typing import Any

import pytest
from validator_desk import INBOX, MINUTE_NS, SECOND_NS, ValidatorDesk

from engines.agents.messages import AgentMoved, PromptWanted
from engines.agents.protocol.compare import Comparison, compare
from engines.agents.protocol.compare_proof import paths, proof
from engines.agents.protocol.model import Protocol
from engines.agents.protocol.parse import parse

NEWER = (
    INBOX.replace("version: 1.0.0", "version: 2.0.0")
    .replace("deep_work", "focus")
    .replace('- task: string(..200) = ""', '- goal: string(..200) = ""\n- team: string(1..20)')
    .replace("context.task", "context.goal")
    + """
## Migrations
- from ^1.0 → 2.0.0:
  - state: deep_work → focus
  - context: task → goal
  - context: team = agent.role
"""
)


def read(source: str) -> Protocol:
    """The protocol of a text without mistakes."""
    reading = parse(source)
    assert not [one for one in reading.findings if one.is_error], reading.findings
    return reading.protocol


def changed(*pairs: tuple[str, str]) -> Comparison:
    """What is different once parts of the text are others."""
    source = INBOX
    for old, new in pairs:
        assert old in source, old
        source = source.replace(old, new)
    return compare(read(INBOX), read(source))


@pytest.mark.parametrize(
    ("old", "new", "level", "rule"),
    [
        ("Context compression", "Other words", "patch", "prose"),
        ("1.0.0", "1.0.1", "identical", ""),
        (
            "- idle → inbox: By itself\n",
            "- idle → inbox: By itself\n- idle → done: Enough\n",
            "compatible",
            "move-added",
        ),
        ("- idle → inbox: By itself\n", "", "migration", "move-removed"),
        ("  - guard: `inbox.unread == 0`\n", "", "compatible", "move-guard"),
        ("  - sends: task_done to supervisor\n", "  - guard: `inbox.unread == 0`\n", "migration", "move-guard"),
        ("estimate?: duration", "estimate: duration", "migration", "move-requires"),
        ("task: string(1..200), ", "task?: string(..300), ", "compatible", "move-requires"),
        ("- done (final)", "- extra: More\n- done (final)", "compatible", "state-added"),
        ("max_duration: 5m → idle", "max_duration: 9m → idle", "compatible", "state-changed"),
        ("min_duration: 10s", "min_duration: 20s", "migration", "stay-longer"),
        ("- supervisor (1): hands them out\n", "- boss: hands them out\n", "breaking", "role-removed"),
        ("fields: task: string", "fields: task: string, note?: string", "compatible", "message-field"),
        ("fields: task: string", "fields: task: string, note: string", "migration", "message-field"),
        ('task: string(..200) = ""', 'task: string(..100) = ""', "migration", "field-type"),
        ('task: string(..200) = ""', 'task: string(..300) = ""', "compatible", "field-changed"),
        ('task: string(..200) = ""', 'task: string(..200) = ""\n- mood?: string', "compatible", "field-added"),
        ('task: string(..200) = ""', 'task: string(..200) = ""\n- mood: string', "migration", "field-added"),
        ("  - in: deep_work\n", "", "migration", "invariant-added"),
    ],
)
def test_f11_each_difference_has_its_level_and_rule(old: str, new: str, level: str, rule: str) -> None:
    """False if a difference is not found, or is taken as more or less grave than it is."""
    found = changed((old, new))
    assert found.level == level, found
    assert rule in {one.rule for one in found.differences} | {""}


def test_a_state_that_the_engine_pushes_agents_to_needs_a_migration() -> None:
    """False if a new state behind a timeout were taken as compatible."""
    found = changed(
        ("max_duration: 5m → idle", "max_duration: 5m → late"), ("- done (final)", "- late: Too\n- done (final)")
    )
    assert found.level == "migration"
    assert "the engine moves agents there from 'inbox'" in found.differences[0].message


def test_e2_a_migration_that_leaves_a_state_out_is_refused_with_an_example() -> None:
    """False if a version is loaded whose migration leaves a state, a field, or a type of message without a rule."""
    broken = NEWER.replace("  - state: deep_work → focus\n", "").replace("  - context: team = agent.role\n", "")
    broken = broken.replace("- task_done: worker", "- task_over: worker").replace(
        "sends: task_done", "sends: task_over"
    )
    holes = {one.name: one for one in proof(read(INBOX), read(broken))}
    assert set(holes) == {"deep_work", "team", "task_done"}
    assert holes["deep_work"].path == ("inbox", "deep_work")
    assert "agents come there by inbox → deep_work" in holes["deep_work"].message
    desk = ValidatorDesk("ann")
    answer = desk.admin("protocol.load", source=broken)
    assert answer["error"]["code"] == "E-MIGRATION"
    assert [one["path"] for one in answer["error"]["details"]["missing"] if one["kind"] == "state"] == [
        ["inbox", "deep_work"]
    ]
    assert len(desk.state.versions) == 1
    assert paths(read(INBOX))["distill"] == ("inbox", "deep_work", "distill")
    assert not proof(read(INBOX), read(NEWER))


def with_agents(count: int) -> ValidatorDesk:
    """A desk with agents, half of them at work on something."""
    desk = ValidatorDesk(*(f"a{n:02}" for n in range(count)))
    for n in range(0, count, 2):
        desk.move(f"a{n:02}", "deep_work", context={"task": f"t{n}"})
    return desk


def test_e1_a_dry_run_equals_the_result_and_each_agent_is_told() -> None:
    """False if a dry run says other than what becomes of an agent, or an agent is not told."""
    desk = with_agents(20)
    desk.wait(10 * SECOND_NS)
    assert desk.admin("protocol.load", source=NEWER, current=False)["success"]
    dry = desk.admin("protocol.migrate", name="inbox", version="2.0.0", dry_run=True)["data"]["agents"]
    assert {desk.record(one["agent"]).version for one in dry} == {"1.0.0"}
    before = len(desk.sent)
    done = desk.admin("protocol.migrate", name="inbox", version="2.0.0")["data"]["agents"]
    assert [{**one, "stage": "moved"} for one in dry] == done
    assert len(done) == 20
    for one in done:
        record = desk.record(one["agent"])
        assert (record.version, record.state, dict(record.context.items())) == ("2.0.0", one["image"], one["context"])
    assert desk.record("a00").state == "focus"
    assert dict(desk.record("a00").context.items()) == {"goal": "t0", "team": "worker"}
    told = [one.message for one in desk.sent[before:] if isinstance(one.message, PromptWanted)]
    assert {one.agent for one in told} == {one["agent"] for one in done}
    assert "- state 'deep_work' is gone" in told[0].text
    answer = desk.move("a00", "inbox")
    assert answer["success"]
    assert answer["protocol"]["version"] == "2.0.0"
    assert answer["protocol"]["changed"] is True
    assert desk.ask("a00", "state.current")["protocol"]["changed"] is False


def test_agents_are_moved_at_a_safe_point_and_then_first() -> None:
    """False if an agent is moved at its work, or decided by the old version at a safe point."""
    desk = with_agents(4)
    answer = desk.admin("protocol.load", source=NEWER)
    assert answer["data"]["stage"] == "current"
    assert {name: desk.record(name).version for name in ("a00", "a01")} == {"a00": "1.0.0", "a01": "2.0.0"}
    desk.wait(10 * SECOND_NS)
    assert desk.move("a00", "inbox")["success"]
    assert desk.record("a00").version == "2.0.0"
    assert desk.ask("a02", "state.current", session=2)["data"]["state"] == "focus"
    rows = desk.admin("protocol.list")["data"]["protocols"]
    assert [(one["version"], one["stage"], one["agents"]) for one in rows] == [
        ("1.0.0", "idle", 0),
        ("2.0.0", "current", 4),
    ]


def test_e3_a_rollback_restores_an_agent_that_has_not_changed_since() -> None:
    """False if an agent is not what it was, or one that has changed is put back."""
    desk = with_agents(2)
    before = {name: desk.record(name) for name in ("a00", "a01")}
    desk.admin("protocol.load", source=NEWER, current=False)
    desk.admin("protocol.migrate", name="inbox", version="2.0.0")
    desk.wait(10 * SECOND_NS)
    assert desk.move("a01", "focus", context={"task": "new"})["success"]
    rows = {
        one["agent"]: one for one in desk.admin("protocol.rollback", name="inbox", version="2.0.0")["data"]["agents"]
    }
    assert rows["a00"]["is_possible"]
    assert "changed 1 times since" in rows["a01"]["reason"]
    back = desk.record("a00")
    assert (back.version, back.state, back.context) == ("1.0.0", "deep_work", before["a00"].context)
    assert (back.number, back.visit) == (before["a00"].number + 2, before["a00"].visit)
    assert desk.record("a01").version == "2.0.0"
    assert desk.move("a00", "inbox")["success"]
    events = desk.events()
    moved = [dict(one.attributes) for one in events if one.kind == "migrated"]
    assert ["is_rollback" in one for one in moved] == [False, False, True]
    assert [one.number for one in events] == list(range(1, len(events) + 1))


def test_a_rollback_that_moves_nobody_says_so() -> None:
    """False if it named the version to come back to and seemed done, or one to a retired version seemed possible."""
    desk = with_agents(1)
    desk.admin("protocol.load", source=NEWER, current=True)
    desk.admin("protocol.migrate", name="inbox", version="2.0.0")
    desk.wait(10 * SECOND_NS)
    assert desk.record("a00").version == "2.0.0"
    for op in ("protocol.migrate", "protocol.rollback"):
        error = desk.admin(op, name="inbox", version="2.0.0", agents=["a00", "nobody"])["error"]
        assert error["message"] == "there is no agent nobody"
    error = desk.admin("protocol.rollback", name="inbox", version="1.0.0")["error"]
    assert error["message"] == "no agent was moved to version 1.0.0 of 'inbox'"
    assert error["recovery_suggestions"] == ["agents were moved to 2.0.0: aism protocol rollback inbox 2.0.0"]
    assert desk.admin("protocol.retire", name="inbox", version="1.0.0")["success"]
    [row] = desk.admin("protocol.rollback", name="inbox", version="2.0.0")["data"]["agents"]
    assert (row["is_possible"], row["reason"]) == (False, "version 1.0.0 is retired")


def test_e4_pinned_agents_finish_on_their_version() -> None:
    """False if a pinned agent is moved, a new one gets the old version, or a version in use is forgotten."""
    desk = with_agents(2)
    desk.admin("protocol.load", source=NEWER.replace("version: 2.0.0", "version: 2.0.0\npolicy: pinned"))
    desk.enrol("new")
    assert {name: desk.record(name).version for name in ("a00", "a01", "new")} == {
        "a00": "1.0.0",
        "a01": "1.0.0",
        "new": "2.0.0",
    }

    def stage() -> Any:
        return desk.admin("protocol.drain", name="inbox", version="1.0.0")["data"]["stage"]

    assert stage() == "draining"
    assert desk.admin("protocol.retire", name="inbox", version="1.0.0")["error"]["code"] == "in_use"
    from engines.agents.messages import Retire

    for name in ("a00", "a01"):
        desk.take(Retire(name))
    assert stage() == "drained"
    assert desk.admin("protocol.retire", name="inbox", version="1.0.0")["success"]
    assert len(desk.state.versions) == 1


def test_an_agent_without_image_stays_and_an_alarm_says_why() -> None:
    """False if an agent is moved against an invariant of the new version, or nobody is told."""
    desk = with_agents(2)
    source = NEWER.replace("- has_task: `context.goal", '- named: `context.goal != "t0"`\n- has_task: `context.goal')
    answer = desk.admin("protocol.load", source=source, current=False)
    assert answer["success"], answer
    rows = {
        one["agent"]: one for one in desk.admin("protocol.migrate", name="inbox", version="2.0.0")["data"]["agents"]
    }
    assert (rows["a00"]["stage"], rows["a01"]["stage"]) == ("stays", "moved")
    assert "invariant named" in rows["a00"]["reason"]
    alarms = [
        one.message for one in desk.sent if isinstance(one.message, PromptWanted) and one.message.reason == "alarm"
    ]
    assert [one.agent for one in alarms] == ["a00"]


def test_timers_are_armed_again_after_a_migration() -> None:
    """False if an agent keeps the timeout of the old version."""
    desk = with_agents(2)
    desk.admin("protocol.load", source=NEWER.replace("max_duration: 5m", "max_duration: 8m"))
    desk.wait(6 * MINUTE_NS)
    assert desk.record("a01").state == "inbox"
    moves = [one for one in desk.wait(3 * MINUTE_NS) if isinstance(one, AgentMoved)]
    assert {(one.agent, one.state) for one in moves} == {("a01", "idle")}


def test_versions_that_do_not_understand_each_other_are_not_mixed() -> None:
    """False if agents of two versions write to each other of which one lacks a role or a reply of the other."""
    base = INBOX.replace(
        "  - fields: task: string\n", "  - fields: task: string\n  - reply: agree\n- agree: supervisor → worker\n"
    )
    desk = ValidatorDesk("ann", source=base)
    newer = base.replace("version: 1.0.0", "version: 1.1.0").replace("  - reply: agree\n", "")
    answer = desk.admin("protocol.load", source=newer.replace("version: 1.1.0", "version: 1.1.0\npolicy: pinned"))
    assert (answer["error"]["code"], answer["error"]["details"]["agents"]) == ("breaking_mix", ["ann"])
    assert desk.admin("protocol.load", source=newer, current=False)["success"]
    answer = desk.admin("protocol.approve", name="inbox", version="1.1.0")
    assert answer["error"]["details"]["differences"] == ["reply-removed: 'agree' is no reply to 'task_done' any more"]
    moved = newer.replace("version: 1.1.0", "version: 1.2.0\npolicy: now")
    assert desk.admin("protocol.load", source=moved)["success"]
    assert desk.record("ann").version == "1.2.0"
