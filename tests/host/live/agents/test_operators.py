"""What people do with agents, by the real command in a real root: add, look, prompt, pause, take over, stop, remove."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from bus_world import AISM
from crew import WORK, program
from live_nodes import until
from test_engine_for_agents import Engine, engine_up

from host.aism.table import COMMANDS


@pytest.fixture(scope="module")
def town() -> Iterator[Engine]:
    """An engine for agents that is up, with the protocol `work`."""
    with engine_up("work", WORK) as made:
        yield made


def phase(town: Engine, agent: str) -> str:
    return str(town.aism("agent", "show", agent)["data"]["phase"])


def test_l1_by_the_command_alone(town: Engine) -> None:
    """False if an agent that is added by the command does not get to the end of its protocol."""
    town.aism("agent", "add", "ann", "--protocol", "work", "--", *program("worker.sh"))
    until(lambda: phase(town, "ann") == "stopped", "the end of the work")
    [row] = [one for one in town.aism("agent", "ls")["data"]["agents"] if one["agent"] == "ann"]
    assert (row["state"], row["restarts"]) == ("done", 0)
    lines = town.aism("agent", "logs", "ann", "-n", "100")["data"]["lines"]
    assert any("in state 'deep_work'" in line for line in lines)


@pytest.mark.storm
def test_an_agent_is_prompted_paused_limited_and_removed(town: Engine) -> None:
    """False if a command of operators has no effect; or if a removal returns before the process has ended, and the name
    is free."""
    words = ("--protocol", "work", "--limit", "memory=256MiB", "--limit", "pids=50")
    town.aism("agent", "add", "bob", *words, "--", *program("steady.sh"))
    until(lambda: phase(town, "bob") in ("ready", "busy"), "the first request")
    shown = town.aism("agent", "show", "bob")["data"]
    assert shown["limits"] == {"memory_bytes": 256 << 20, "pids": 50}
    assert set(shown["mechanisms"]) == {"memory_bytes", "pids"}
    town.aism("prompt", "bob", "first words")

    def said(text: str) -> bool:
        return any(text in line for line in town.aism("agent", "logs", "bob")["data"]["lines"])

    until(lambda: said("first words"), "the prompt")
    until(lambda: town.aism("agent", "show", "bob")["data"]["prompts_waiting"] == 0, "its effect")
    town.aism("agent", "pause", "bob")
    town.aism("prompt", "bob", "while paused")
    assert town.aism("agent", "show", "bob")["data"]["prompts_waiting"] == 1
    assert not said("while paused")
    town.aism("agent", "pause", "bob", "--resume")
    until(lambda: said("while paused"), "the prompt that waited")
    town.aism("limits", "set", "bob", "wall=1h")
    assert town.aism("limits", "show", "bob")["data"]["limits"]["wall_s"] == 3600
    session = shown["session"]
    town.aism("token", "rotate", "bob")
    until(lambda: town.aism("agent", "show", "bob")["data"]["session"] == session + 1, "another session")
    until(lambda: phase(town, "bob") in ("ready", "busy"), "its first request")
    pid = town.aism("agent", "show", "bob")["data"]["pid"]
    assert town.aism("agent", "rm", "bob")["data"] == {"agent": "bob", "removed": True}
    assert not os.path.exists(f"/proc/{pid}")
    assert all(one["agent"] != "bob" for one in town.aism("agent", "ls")["data"]["agents"])
    assert Path(town.root, "agents", "bob").is_dir()
    town.aism("agent", "add", "bob", "--no-start", *words, "--", *program("steady.sh"))
    assert town.aism("agent", "rm", "bob")["data"]["removed"]


@pytest.mark.storm
def test_x3_takeover_and_release_need_a_reason_and_are_audited(town: Engine) -> None:
    """False if a takeover has no reason, or is no event."""
    town.aism("agent", "add", "eve", "--protocol", "work", "--", *program("steady.sh"))
    until(lambda: phase(town, "eve") in ("ready", "busy"), "the first request")
    town.aism("agent", "takeover", "eve", code=3)
    town.aism("agent", "takeover", "eve", "--reason", "to look")
    until(lambda: phase(town, "eve") == "direct", "the takeover")
    town.aism("agent", "release", "eve", "--reason", "seen")
    until(lambda: phase(town, "eve") != "direct", "the release")
    assert town.aism("agent", "force", "eve", "inbox", "--reason", " ", code=3)["error"]["code"] == "no_reason"
    forced = town.aism("agent", "force", "eve", "inbox", "--reason", "to go on")
    assert (forced["data"]["state"], forced["data"]["visit"]) == ("inbox", 2)
    stopped = town.aism("agent", "stop", "eve")["data"]
    assert (stopped["phase"], stopped["last_exit"]) == ("stopped", "stopped, signal 15")
    verified = town.aism("audit", "verify")["data"]
    assert verified["recorded"] > 3
    assert all("recent events may still wait" in note for note in verified["not_compared"])


@pytest.mark.storm
def test_c1_each_command_of_operators_gives_one_object(town: Engine) -> None:
    """False if an answer is no JSON object, a call that succeeds writes to stderr, or a command is not among these;
    those that agents have too are in `test_bus.py`, and those that are called elsewhere are named."""
    newer = WORK.replace("1.0.0", "1.1.0")
    (town.root / "new").mkdir()
    (town.root / "new" / "work.md").write_text(newer)
    (town.root / "script").write_text("")
    calls = """
        agent add c1 --protocol work --no-start -- true;agent ls;agent show c1;agent takeover c1 --reason why
        agent force c1 inbox --reason why;agent release c1;limits set c1 pids=9;limits show c1;agent pause c1
        agent pause c1 --resume;state can --agent c1;state wait --until state.visits>0 --agent c1
        measure self --agent c1;measure system;measure peers;protocol check protocols/work.md new/work.md
        protocol lint new/work.md;protocol fmt new/work.md --check;protocol graph new/work.md;protocol explain E-DIGEST
        explain E-DIGEST;simulate new/work.md --script script;protocol load new/work.md --draft
        protocol retire work 1.1.0;protocol load new/work.md --draft
        protocol migrate work 1.1.0 --dry-run;protocol approve work 1.1.0;protocol drain work 1.0.0
        protocol migrate work 1.1.0;protocol rollback work 1.1.0;protocol migrate work 1.1.0
        protocol approve work 1.0.0;replay;doctor;status;audit log;help
    """
    elsewhere = {"init", "up", "down", "events", "mcp", "agent start", "agent stop", "agent restart", "agent rm"}
    elsewhere |= {"agent logs", "prompt", "token rotate", "audit verify", "audit repair"}
    ours = {one.words for one in COMMANDS if one.audience == "operator"} - elsewhere
    assert [one for one in sorted(ours) if one not in calls] == []
    for words in [one.split() for line in calls.strip().splitlines() for one in line.strip().split(";")]:
        done = subprocess.run([*AISM, *words], capture_output=True, cwd=town.root, env=town.environment, timeout=60)
        assert (done.returncode, done.stderr) == (0, b""), (words, done.stdout)
        answer = json.loads(done.stdout)
        assert (answer["success"], type(answer["data"]), answer["notices"]) == (True, dict, []), words


def test_c2_mistakes_have_their_exit_status(town: Engine) -> None:
    """False if an unknown agent, a name that is taken, or a level that there is not ends with another status."""
    assert town.aism("agent", "start", "nobody", code=5)["error"]["code"] == "no_such_agent"
    town.aism("agent", "add", "twice", "--no-start", "--protocol", "work", "--", "true")
    assert town.aism("agent", "add", "twice", "--", "true", code=8)["error"]["code"] == "agent_exists"
    assert town.aism("agent", "add", "x", "--isolation", "vm", "--", "true", code=3)["error"]["code"] == "bad_field"
    assert town.aism("agent", "logs", "twice", code=5)["error"]["code"] == "no_session"


@pytest.mark.storm
def test_l12_docker_is_refused_with_one_line(town: Engine) -> None:
    """False if an agent at a level that this machine has not runs at another, or the reason is not shown."""
    town.aism("agent", "add", "box", "--protocol", "work", "--isolation", "docker", "--", *program("steady.sh"))
    until(lambda: phase(town, "box") == "quarantined", "the refusal")
    assert town.aism("agent", "show", "box")["data"]["last_exit"].startswith("docker: ")
