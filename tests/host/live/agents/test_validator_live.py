"""The validator in the whole: a crowd of processes of one agent, and a new version while agents run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from crew import WORK, program
from live_nodes import new_world, until
from test_engine_for_agents import Engine

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
    with new_world() as world:
        made = Engine(world.folder / "village")
        Engine(world.folder).aism("init", str(made.root))
        (made.root / "protocols" / "work.md").write_text(WORK)
        made.aism("up", "-d")
        try:
            yield made
        finally:
            made.aism("down", "--stop-agents")


def said(village: Engine, agent: str) -> str:
    """What an agent has written."""
    return "\n".join(village.aism("agent", "logs", agent, "-n", "100")["data"]["lines"])


def shown(village: Engine, agent: str) -> dict[str, Any]:
    """An agent, and how it is."""
    return dict(village.aism("agent", "show", agent)["data"])


def test_v5_of_a_crowd_of_processes_one_wins(village: Engine) -> None:
    """False if more than one process of an agent makes the same next change, or one is lost."""
    village.aism("agent", "add", "crowd", "--protocol", "work", "--", *program("crowd.sh"))
    until(lambda: "won " in said(village, "crowd"), "the end of the crowd", 60.0)
    assert "won 1 lost 11" in said(village, "crowd")
    answer = village.aism("state", "history", "--agent", "crowd")
    assert [one["seq"] for one in answer["data"]["moves"] if one["actor"] == "agent"] == [1]


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
