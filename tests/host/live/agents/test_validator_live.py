"""The validator in the whole: a crowd of processes of one agent, and a new version while agents run."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from crew import WORK, program, written
from deadline import DEADLINE_S
from live_nodes import until
from test_engine_for_agents import Engine, engine_up

CODE = str(Path(__file__).resolve().parents[4])
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


IMAGES = {"bootstrap": "getting_ready", "deep_work": "deep_work"}


def is_at(agent: dict[str, Any], state: str) -> bool:
    """Whether a process that has put a request is in a state."""
    return agent["state"] == state and agent["phase"] in ("ready", "busy")


def test_e1_agents_are_moved_to_a_new_version_while_they_run(village: Engine) -> None:
    """False if a dry run says other than what becomes of one of twenty agents that ask all the time, in two states; if
    one of them is restarted, refused something, not told, or does not go on by the new version; or if those that have
    gone on are rolled back, or the one that has not is not."""
    states = dict(zip([f"e1_{number:02}" for number in range(20)], itertools.cycle(IMAGES)))
    still, *others = states
    file = village.root / "next" / "work.md"
    file.parent.mkdir()
    file.write_text(NEWER)
    village.aism("protocol", "load", str(file), "--draft")
    with village.client() as operator:

        def ask(op: str, agent: str, **fields: Any) -> dict[str, Any]:
            answer = operator.ask(op, agent=agent, **fields)
            assert answer["success"], answer
            return dict(answer["data"])

        for agent, state in states.items():
            words = [*program("mover.py"), state, *(["still"] if agent == still else [])]
            known = {"role": "maker", "environment": {"CODE": CODE}}
            ask("agent.add", agent, protocol="work", command=words, isolation="none", start=True, **known)
        for agent, state in states.items():
            until(lambda agent=agent, state=state: is_at(ask("agent.show", agent), state), f"{agent} in {state}")
        pids = {agent: ask("agent.show", agent)["pid"] for agent in states}
        dry = village.aism("protocol", "migrate", "work", "2.0.0", *states, "--dry-run")["data"]["agents"]
        assert [(one["agent"], one["state"], one["image"]) for one in dry] == [
            (agent, state, IMAGES[state]) for agent, state in states.items()
        ]
        done = village.aism("protocol", "migrate", "work", "2.0.0", *states)["data"]["agents"]
        assert done == [{**one, "stage": "moved"} for one in dry]
        for agent in states:
            until(lambda agent=agent: "is now version 2.0.0" in written(village.root, agent), f"{agent} is told")
        for agent in others:
            until(lambda agent=agent: ask("agent.show", agent)["state"] == "inbox", f"{agent} goes on")
        for one in done:
            agent = one["agent"]
            move = (one["state"], one["image"]) if agent == still else (one["image"], "inbox")
            last = ask("state.history", agent, count=1)["moves"][0]
            assert (last["before"], last["after"]) == move
            assert ask("context.get", agent)["context"] == one["context"] == {"team": "maker"}
            found = ask("agent.show", agent)
            assert (found["version"], found["pid"]) == ("2.0.0", pids[agent])
            assert (found["session"], found["restarts"]) == (1, 0)
            assert "refused" not in written(village.root, agent)
        rows = village.aism("protocol", "rollback", "work", "2.0.0", *states)["data"]["agents"]
        assert [one["agent"] for one in rows if one["is_possible"]] == [still]
        assert ask("state.current", still)["state"] == "bootstrap"
        for agent in states:
            ask("agent.stop", agent, now=True)


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
