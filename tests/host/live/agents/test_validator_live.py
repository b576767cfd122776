"""The validator in the whole: a crowd of processes of one agent, and a new version while agents run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from crew import WORK, program
from deadline import DEADLINE_S
from live_nodes import until
from test_engine_for_agents import Engine, engine_up

NEWER = (
    WORK.replace("version: 1.0.0", "version: 2.0.0\npolicy: now")
    .replace("bootstrap (initial)", "getting_ready (initial)")
    .replace("bootstrap → inbox", "getting_ready → inbox")
    + """
## Context
- team: string(1..20)

## Migrations
- from 1.0.0 → 2.0.0:
  - state: bootstrap → getting_ready
  - context: team = agent.role
"""
)


@pytest.fixture(scope="module")
def village() -> Iterator[Engine]:
    """An engine for agents that is up, with the protocol `work`."""
    with engine_up("work", WORK) as made:
        yield made


def said(village: Engine, agent: str) -> str:
    """What an agent has written."""
    return "\n".join(village.aism("agent", "logs", agent, "-n", "100")["data"]["lines"])


def shown(village: Engine, agent: str) -> dict[str, Any]:
    """An agent, and how it is."""
    return dict(village.aism("agent", "show", agent)["data"])


@pytest.mark.parametrize(("size", "steps"), [(12, 2), pytest.param(100, 10, marks=pytest.mark.long)])
def test_v5_of_a_crowd_of_processes_one_wins(village: Engine, size: int, steps: int) -> None:
    """False if of the processes of an agent that ask at once not exactly one makes the next change, in each step, or a
    number is left out."""
    name = f"crowd{size}"
    village.aism("agent", "add", name, "--protocol", "work", "--", *program("crowd.sh"), str(size), str(steps))
    until(lambda: "won " in said(village, name), "the end of the crowd", DEADLINE_S * steps)
    assert f"won {steps} lost {steps * (size - 1)}" in said(village, name)
    answer = village.aism("state", "history", "--agent", name)
    assert [(one["seq"], one["actor"]) for one in answer["data"]["moves"]] == [
        (seq, "agent") for seq in range(steps, 0, -1)
    ]


def test_e1_agents_are_moved_to_a_new_version_while_they_run(village: Engine) -> None:
    """False if a dry run says other than what is done, or an agent is restarted, or is not told."""
    for agent in ("ada", "bea"):
        village.aism("agent", "add", agent, "--protocol", "work", "--role", "maker", "--", *program("steady.sh"))
    for agent in ("ada", "bea"):
        until(lambda agent=agent: shown(village, agent)["phase"] in ("ready", "busy"), f"{agent} at work")
    pids = {agent: shown(village, agent)["pid"] for agent in ("ada", "bea")}
    file = village.root / "next" / "work.md"
    file.parent.mkdir()
    file.write_text(NEWER)
    village.aism("protocol", "load", str(file), "--draft")
    dry = village.aism("protocol", "migrate", "work", "2.0.0", "ada", "bea", "--dry-run")["data"]["agents"]
    assert [(one["agent"], one["state"], one["image"]) for one in dry] == [
        ("ada", "bootstrap", "getting_ready"),
        ("bea", "bootstrap", "getting_ready"),
    ]
    done = village.aism("protocol", "migrate", "work", "2.0.0", "ada", "bea")["data"]["agents"]
    assert done == [{**one, "stage": "moved"} for one in dry]
    for agent in ("ada", "bea"):
        until(lambda agent=agent: "is now version 2.0.0" in said(village, agent), f"{agent} is told")
        answer = village.aism("state", "current", "--agent", agent)
        assert (answer["data"]["state"], answer["data"]["context"]) == ("getting_ready", {"team": "maker"})
        assert answer["protocol"]["version"] == "2.0.0"
        assert shown(village, agent)["pid"] == pids[agent]
    rows = village.aism("protocol", "rollback", "work", "2.0.0", "ada")["data"]["agents"]
    assert [(one["agent"], one["is_possible"]) for one in rows] == [("ada", True)]
    assert village.aism("state", "current", "--agent", "ada")["data"]["state"] == "bootstrap"


def test_e8_a_replay_of_the_journal_names_what_another_version_decides_otherwise(village: Engine) -> None:
    """False if the recorded decisions are not made again alike, or a planted difference is missed or not the only one
    of an agent."""
    village.aism("agent", "add", "zoe", "--protocol", "work", "--", *program("worker.sh"))
    until(lambda: shown(village, "zoe")["phase"] == "stopped", "the end of the work", 60.0)
    again = village.aism("replay")["data"]
    assert (again["differences"], again["turns"] > 5) == ([], True)
    file = village.root / "other.md"
    file.write_text(WORK.replace("version: 1.0.0", "version: 1.1.0").replace("task: string", "task: string(9..20)"))
    answer = village.aism("replay", "--protocol", str(file), code=1)
    assert answer["error"]["code"] == "differs"
    found = [one for one in answer["data"]["differences"] if one["agent"] == "zoe"]
    assert [(one["asked"], one["recorded"]) for one in found] == [("state.transition deep_work", "goes to deep_work")]
    assert "fewer than 9" in found[0]["now"]


TALK = """\
---
version: 1.0.0
policy: pinned
---
# Protocol: talk

## States
- here (initial, safe, idle): Talks

## Roles
- peer: talks

## Messages
- task: peer → peer
  - fields: n: int
- ping: peer → peer
"""
LATER = TALK.replace("1.0.0", "2.0.0").replace("- task:", "- job:").replace("- ping: peer → peer\n", "")
LATER += "\n## Migrations\n- from 1.0.0 → 2.0.0:\n  - message: task → job\n  - message: ping → bounce\n"
TALKER = """
aism heartbeat
while read -r prompt; do case $prompt in *"send now"*)
    aism message send bob "to do" --type task --field n=7
    aism message send bob "there?" --type ping;;
esac; done
"""
LISTENER = "aism heartbeat; while read -r prompt; do aism message read --wait 5s; done"


def test_e5_messages_between_versions_are_translated_or_bounced(village: Engine) -> None:
    """False if an agent of a later version gets a message by its old name, or one that means nothing to it."""
    file = village.root / "talk.md"
    file.write_text(TALK)
    village.aism("protocol", "load", "talk.md")
    for agent, code in (("ann", TALKER), ("bob", LISTENER)):
        village.aism("agent", "add", agent, "--protocol", "talk", "--role", "peer", "--", "sh", "-c", code)
        until(lambda agent=agent: shown(village, agent)["phase"] in ("ready", "waiting"), f"{agent} at work")
    file.write_text(LATER)
    village.aism("protocol", "load", "talk.md", "--draft")
    village.aism("protocol", "migrate", "talk", "2.0.0", "bob")
    assert [shown(village, agent)["version"] for agent in ("ann", "bob")] == ["1.0.0", "2.0.0"]
    village.aism("prompt", "ann", "send now")
    until(lambda: '"incompatible_version"' in said(village, "ann"), "the bounce of what has no meaning")
    until(lambda: "to do" in said(village, "bob"), "the message")
    assert '"type":"job"' in said(village, "bob")
    assert '"type":"task"' not in said(village, "bob")
    assert "there?" not in said(village, "bob")
