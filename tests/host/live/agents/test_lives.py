"""Lives of agents: real processes under the engine, which speak by standard input and the command."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import shlex
import signal
import statistics
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from bus_world import store_pid
from crew import PROGRAMS, Crew, new_crew, program
from live_nodes import World, is_alive, new_world, until

from host.aism.keeper.isolation import missing
from host.aism.keeper.start import end_keeper, ensure_keeper
from host.live.journal.data_folder import find_logs
from host.live.journal.operations import verify

STEADY = program("steady.sh")
BAD = program("bad.py")
FAMILIES = ("validator", "router", "orchestrator", "launcher", "bridge")


@pytest.fixture(scope="module")
def crew() -> Iterator[Crew]:
    """One crew for the tests that need no terms of their own; each has agents of its own in it."""
    with new_world() as world, new_crew(world, socket_perm="666") as made:
        yield made


def test_l1_the_workflow_from_spawn_to_the_final_state(crew: Crew) -> None:
    """False if an agent in sh, Python or Node does not get from its first prompt to the end of the protocol."""
    names = {"ann_l1": "worker.sh", "bob_l1": "worker.py", "eve_l1": "worker.js"}
    for agent, file in names.items():
        crew.add(agent, *program(file))
    for agent in names:
        found = crew.until_phase(agent, "stopped")
        assert found["state"] == "done", crew.output(agent)
        written = crew.output(agent)
        for state in ("bootstrap", "inbox", "deep_work"):
            assert f"You are agent {agent} in state '{state}'. Follow the work protocol." in written
        assert found["restarts"] == 0


@pytest.mark.parametrize("file", ["worker.js", "worker.sh"])
def test_c8_agents_in_node_and_sh_do_the_whole_workflow(crew: Crew, file: str) -> None:
    """False if an agent is not told its name, does not find its protocol, is moved without what the move requires, is
    not told what is missing, or does not get a prompt in each state."""
    agent = f"c8_{file[-2:]}"
    crew.add(agent, *program(file), "careless")
    found = crew.until_phase(agent, "stopped")
    assert (found["state"], found["restarts"]) == ("done", 0)
    lines = crew.output(agent).splitlines()
    assert lines[0] == f"I am {agent}"
    prompts = [line.partition("in state '")[2].partition("'")[0] for line in lines if line.startswith("prompt: ")]
    assert [state for state, _ in itertools.groupby(prompts)] == ["bootstrap", "inbox", "deep_work"]
    refused, *accepted = [json.loads(line) for line in lines if line.startswith("{")]
    assert refused["error"]["details"]["blocked"][0]["missing"] == ["bootstrap"], refused
    assert [(one["success"], one["seq"], one["data"]["after"]) for one in accepted] == [
        (True, 1, "inbox"),
        (True, 2, "deep_work"),
        (True, 3, "done"),
    ]


@pytest.mark.skipif(os.geteuid() != 0, reason="agents with users of their own need root")
def test_l1_at_each_level_of_isolation(crew: Crew) -> None:
    """False if an agent in a sandbox or a container does not get to the end of its protocol by the command."""
    levels = [level for level in ("bwrap", "runc") if not missing(level)]
    for level in levels:
        limits = {"memory_bytes": 256 << 20, "pids": 50}
        crew.add(f"in-{level}", "sh", str(PROGRAMS / "worker.sh"), isolation=level, limits=limits)
    for level in levels:
        assert crew.until_phase(f"in-{level}", "stopped")["state"] == "done", crew.output(f"in-{level}")
        assert crew.show(f"in-{level}")["restarts"] == 0


@pytest.mark.storm
def test_l2_crashes_are_followed_by_pauses_and_then_quarantine(world: World) -> None:
    """False if a real process that exits with 1 is not restarted on schedule, or more often than the budget allows."""
    with new_crew(world, backoff_ns="300ms", budget="3") as crew:
        crew.add("ann", *BAD, "crash")
        crew.add("bob", *BAD, "misconfigured")
        found = crew.until_phase("ann", "quarantined")
        assert found["restarts"] == 3
        until(lambda: crew.show("ann")["state"] == "quarantined", "its state in the protocol")
        assert crew.until_phase("bob", "quarantined")["restarts"] == 0
        folders = [crew.root / "engine" / "sessions" / "ann" / str(number) for number in (1, 2, 3, 4)]
        ended = [(folder / "exit.json").stat().st_mtime for folder in folders]
        began = [(folder / "launcher.json").stat().st_mtime for folder in folders]
        pauses = [next_began - end for end, next_began in zip(ended, began[1:], strict=False)]
        for pause, attempt in zip(pauses, itertools.count()):
            assert 0.9 * 0.3 * 2**attempt <= pause <= 1.1 * 0.3 * 2**attempt + 2.0, pauses


def test_l4_agents_go_on_while_the_orchestrator_dies_and_exits_are_known_after(crew: Crew) -> None:
    """False if an agent is another process after a kill of orchestrator and device, is not prompted, or its exit that
    happened meanwhile is unknown."""
    for agent in ("ann_l4", "bob_l4"):
        crew.add(agent, *STEADY)
    pids = {agent: crew.until_phase(agent, "ready")["pid"] for agent in ("ann_l4", "bob_l4")}
    until(lambda: crew.show("bob_l4")["prompts_waiting"] == 0, "bob's first prompt had an effect")
    crew.kill("launcher")
    crew.kill("orchestrator")
    os.kill(pids["bob_l4"], signal.SIGKILL)
    crew.done("prompt.send", agent="ann_l4", text="are you there?")
    until(lambda: "are you there?" in crew.output("ann_l4"), "a prompt after the restart")
    assert crew.show("ann_l4")["pid"] == pids["ann_l4"]
    found = until(lambda: (one := crew.show("bob_l4"))["restarts"] == 1 and one, "the crash of bob")
    assert found["last_exit"] == "signal, signal 9"
    assert crew.until_phase("bob_l4", "ready", "busy")["pid"] != pids["bob_l4"]


def test_l8_an_agent_that_does_not_read_blocks_nobody(crew: Crew) -> None:
    """False if prompts for a deaf agent delay others."""
    crew.add("deaf_l8", *BAD, "deaf")
    crew.add("ann_l8", *STEADY)
    crew.until_phase("deaf_l8", "ready")
    crew.until_phase("ann_l8", "ready")
    for number in range(3):
        crew.done("prompt.send", agent="deaf_l8", text=f"{number}" + "x" * 30_000)
    crew.done("prompt.send", agent="ann_l8", text="hello")
    until(lambda: "hello" in crew.output("ann_l8"), "the prompt of the other")


@pytest.mark.storm
def test_l9_an_agent_that_ignores_prompts_is_restarted(world: World) -> None:
    """False if an agent that reads its prompt and does nothing is left as it is."""
    with new_crew(world, prompt_ns="500ms") as crew:
        crew.add("ann", *BAD, "ignores")
        pid = crew.until_phase("ann", "ready")["pid"]
        crew.done("prompt.send", agent="ann", text="well?")
        until(lambda: crew.show("ann")["restarts"] >= 1, "the restart")
        until(lambda: not is_alive(pid), "the end of the stuck process")
        assert crew.output("ann").count("ignored") >= 2


@pytest.mark.parametrize("count", [6, pytest.param(50, marks=pytest.mark.storm)])
def test_l10_all_stop_within_the_grace_and_none_is_left(crew: Crew, count: int) -> None:
    """False if a stop takes longer than the grace and two seconds, or leaves a process."""
    names = [f"l10_{count}_{number}" for number in range(count)]
    for agent in names:
        crew.add(agent, *BAD, "stubborn")
    pids = [crew.until_phase(agent, "ready")["pid"] for agent in names]
    began = time.monotonic()
    for agent in names:
        crew.done("agent.stop", agent=agent)
    until(lambda: not any(is_alive(pid) for pid in pids), "the end of all", 2.0 + 2.0 + count * 0.1)
    for agent in names:
        assert crew.until_phase(agent, "stopped")["last_exit"].startswith("stopped")
    assert time.monotonic() - began < 60


def test_v10_a_person_takes_over_and_gives_back(crew: Crew) -> None:
    """False if an agent in `direct` is moved by its own requests, not told why not, or prompted; if it does not come
    back to the state that it was in, or is not prompted and moved again after; or if one whose process is killed in
    `direct` is started before it is given back, or not then."""
    crew.add("ann_v10", *program("walker.py"))
    goes_on(crew, "ann_v10", 3)
    assert crew.ask("override.takeover", agent="ann_v10", reason="to look")["success"]
    crew.until_phase("ann_v10", "direct")
    taken, former = list(moves(crew, "ann_v10").items())[:2]
    assert taken[1] == "direct"
    refused = crew.ask("state.transition", by="ann_v10", target={"inbox": "deep_work"}.get(former[1], "inbox"))
    assert refused["error"]["code"] == "in_direct"
    crew.done("prompt.send", agent="ann_v10", text="later")
    assert crew.show("ann_v10")["prompts_waiting"] == 1
    assert crew.done("override.release", agent="ann_v10", reason="seen")["state"] == former[1]
    assert moves(crew, "ann_v10")[taken[0] + 1] == former[1]
    goes_on(crew, "ann_v10", len(acknowledged(crew, "ann_v10")) + 3)
    until(lambda: crew.show("ann_v10")["prompts_waiting"] == 0, "the prompt that waited, and its effect")
    assert crew.phase("ann_v10") != "direct"
    crew.done("override.takeover", agent="ann_v10", reason="to end it")
    os.kill(crew.until_phase("ann_v10", "direct")["pid"], signal.SIGKILL)
    assert crew.until_phase("ann_v10", "stopped")["session"] == 1
    crew.done("override.release", agent="ann_v10", reason="it may go on")
    goes_on(crew, "ann_v10", len(acknowledged(crew, "ann_v10")) + 3)
    assert crew.show("ann_v10")["session"] == 2


@pytest.mark.storm
def test_agents_outlive_the_node(world: World) -> None:
    """False if a node that goes down takes agents with it, or the next one does not know them."""
    with new_crew(world) as crew:
        crew.add("ann", *STEADY)
        pid = crew.until_phase("ann", "ready")["pid"]
        crew.node.end()
        assert is_alive(pid)
        with world.up(crew.node.spec) as node:
            again = Crew(node, crew.root)
            again.done("prompt.send", agent="ann", text="still there?")
            until(lambda: "still there?" in again.output("ann"), "a prompt by the next node")
            assert again.show("ann")["pid"] == pid


@pytest.mark.parametrize("transport", ["lane", "zmq"])
def test_l5_families_die_in_turn_while_twenty_agents_work(world: World, transport: str) -> None:
    """False if a kill -9 of a family or of the store keeps an agent from its end, costs it its process, or damages a
    journal."""
    with new_crew(world, is_measured=True, transport=transport) as crew:
        names = [f"l5_{number}" for number in range(20)]
        for agent in names:
            crew.add(agent, *program("worker.sh"))
        for engine in (*FAMILIES, "measurement") * 2:
            until(lambda engine=engine: crew.node.ps()[engine]["pid"], f"{engine} again")  # type: ignore[misc]
            crew.kill(engine)
            if engine == "measurement":
                crew.done("agent.list")  # by way of the store, which is not that of an earlier bridge then
                os.kill(store_pid(crew.root), signal.SIGKILL)
        for agent in names:
            found = crew.until_phase(agent, "stopped")
            assert (found["state"], found["session"]) == ("done", 1), (found, crew.output(agent))
            made = crew.done("state.history", agent=agent)
            assert [each["after"] for each in made["moves"]] == ["done", "deep_work", "inbox"], made
        crew.node.end()
        logs = verify(find_logs(str(world.folder / ".enginehost" / "crew")))
        assert {one["log"] for one in logs} >= {"validator", "router", "orchestrator", "measurement"}
        assert [one for one in logs if one["finding"]] == []


def acknowledged(crew: Crew, agent: str) -> list[tuple[int, str]]:
    """The moves that an agent has had acknowledged, by its own book."""
    path = crew.root / "agents" / agent / "acknowledged"
    lines = path.read_text().splitlines() if path.exists() else []
    return [(int(line.split()[0]), line.split()[1]) for line in lines]


def moves(crew: Crew, agent: str) -> dict[int, str]:
    """The moves of an agent, by the engine."""
    found: dict[int, str] = {}
    before: int | None = None
    while True:
        page = crew.done("state.history", agent=agent, count=100, **({"before": before} if before else {}))
        found |= {each["seq"]: each["after"] for each in page["moves"]}
        before = page["next"]
        if not before:
            return found


@pytest.mark.storm
def test_l6_every_acknowledged_change_is_there_after_everything_was_killed(world: World) -> None:
    """False if a move that one of twenty agents was told of is missing, or made twice, after a kill of all processes at
    once while all of them work: supervisor, engines, store, keeper, launchers and agents; or after another."""
    agents = [f"l6_{number}" for number in range(20)]
    with new_crew(world) as crew:
        for agent in agents:
            crew.add(agent, *program("walker.py"))
        for agent in agents:
            goes_on(crew, agent, 3)
        root, spec = crew.root, crew.node.spec
        kill_all(world, root)
    for _ in range(2):
        ensure_keeper(str(root))
        with world.up(spec) as node:
            again = Crew(node, root)
            before = {agent: acknowledged(again, agent) for agent in agents}
            for agent, told in before.items():
                made = moves(again, agent)
                assert [made.get(seq) for seq, _target in told] == [target for _seq, target in told], agent
                assert len({seq for seq, _target in told}) == len(told)
                walked = [made[seq] for seq in range(1, len(made) + 1)]
                assert walked == list(itertools.islice(itertools.cycle(("inbox", "deep_work")), len(made))), agent
            for agent, told in before.items():
                goes_on(again, agent, len(told) + 3)
            kill_all(world, root)
    assert end_keeper(str(root), stop_agents=True, grace_s=0.0) == 0


def goes_on(crew: Crew, agent: str, count: int) -> None:
    """Wait until an agent has had so many moves acknowledged."""
    until(lambda: len(acknowledged(crew, agent)) >= count, f"{count} moves of {agent}")


def kill_all(world: World, root: Path) -> None:
    """kill -9 of all that a test has started, but for the test. The store hides its mark; agents end with launchers."""
    for pid in (*world.processes(), store_pid(root)):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    until(lambda: not world.processes() and not store_pid(root), "the end of all")


HOGS = {
    "memory": ({"memory_bytes": 64 << 20}, "x = []\nwhile True: x.append(bytearray(1 << 20))"),
    "wall": ({"wall_s": 1}, "import time; time.sleep(600)"),
    "signal": ({"cpu_seconds": 1}, "while True: pass"),
}


@pytest.mark.storm
def test_l7_hogs_are_ended_by_name_and_neighbours_go_on(world: World) -> None:
    """False if a limit is not named where an agent is ended by it, or an agent beside the hogs cannot work."""
    with new_crew(world, budget="1") as crew:
        crew.add("ann", *program("walker.py"))
        goes_on(crew, "ann", 3)
        for name, (limits, code) in HOGS.items():
            crew.add(f"hog-{name}", sys.executable, "-c", code, limits=limits)
        before = len(acknowledged(crew, "ann"))
        for name in HOGS:
            found = crew.until_phase(f"hog-{name}", "quarantined")
            assert found["last_exit"].startswith(f"{name}, signal"), found
        goes_on(crew, "ann", before + 3)
        assert crew.show("ann")["restarts"] == 0


GREEDY = {
    "cpu": ({}, "while True: pass"),
    "memory": ({"memory_bytes": 64 << 20}, "x = []\nwhile True: x.append(bytearray(1 << 20))"),
    "forks": (
        {"pids": 30},
        "import os, time\nwhile True:\n  try: os.fork()\n  except OSError: time.sleep(0.1)",
    ),
    "file": (
        {"file_bytes": 1 << 20},
        "import signal, time\nsignal.signal(signal.SIGXFSZ, signal.SIG_IGN)\nwhile True:\n"
        "  try: open('big', 'ab').write(bytes(1 << 16))\n  except OSError: time.sleep(0.1)",
    ),
    "flood": ({"output_bytes_s": 1 << 20}, "while True: print('x' * 1000)"),
}


@pytest.mark.long
def test_l7_the_p95_of_a_neighbour_is_at_most_twice_as_long(world: World) -> None:
    """False if the 95th percentile of a call takes more than twice as long while five hogs run at their limits."""
    with new_crew(world, budget="1000", backoff_ns="200ms", backoff_max_ns="1s") as crew:
        crew.add("ann", *program("meter.py"))
        for name, (limits, code) in GREEDY.items():
            hog = ("aism heartbeat; exec " + shlex.join([sys.executable, "-c", code]),)
            crew.add(f"hog-{name}", "sh", "-c", *hog, limits={**limits, "cpu_percent": 20}, start=False)
        quiet, loud = [], []
        for _ in range(ROUNDS):
            quiet.append(p95_of_next_calls(crew, "ann"))
            for name in GREEDY:
                crew.done("agent.start", agent=f"hog-{name}")
            until(lambda: all(crew.show(f"hog-{name}")["pid"] for name in GREEDY if name != "memory"), "the hogs")
            loud.append(p95_of_next_calls(crew, "ann"))
            for name in GREEDY:
                crew.done("agent.stop", agent=f"hog-{name}", now=True)
            for name in GREEDY:
                crew.until_phase(f"hog-{name}", "stopped")
        assert statistics.median(loud) <= 2 * statistics.median(quiet), (quiet, loud)


ROUNDS = 5
CALLS = 200


def p95_of_next_calls(crew: Crew, agent: str) -> float:
    """Of the next calls of an agent, in milliseconds."""
    path = crew.root / "agents" / agent / "times"
    until(path.exists, "the first call")
    count = len(path.read_text().splitlines())

    def times() -> list[int]:
        return [int(line) for line in path.read_text().splitlines()[count:-1]]

    until(lambda: len(times()) >= CALLS, f"{CALLS} calls of {agent}")
    return statistics.quantiles(times(), n=20)[-1] / 1e6


def test_x2_no_token_is_in_any_file_but_its_own(crew: Crew) -> None:
    """False if the secret of a token is in the journal, the store, a log or a command line."""
    crew.add("ann_x2", *STEADY)
    crew.until_phase("ann_x2", "ready")
    token = (crew.root / "agents" / "ann_x2" / ".aism" / "token").read_bytes()
    secret = token.partition(b"-")[2]
    assert len(secret) == 64
    own = {"token", "token.json"}
    files = [path for path in crew.root.parent.rglob("*") if path.is_file() and path.name not in own]
    assert len(files) > 10
    assert [path for path in files if secret in path.read_bytes()] == []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            assert secret not in path.read_bytes()
