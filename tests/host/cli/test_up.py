"""Starting a node, with a supervisor that is a few lines: what `up` hears, shows, and leaves behind."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from host.cli.commands import up
from host.cli.problem import CliError
from host.config.spec import EngineSpec, NodeSpec
from host.live.control.launch import Launch
from host.live.control.protocol import ControlError, Response

from .conftest import Cli, StartNode

SECOND_NS = 1_000_000_000
LATE_NS = 20 * SECOND_NS

SUPERVISOR = """
import os, signal, socket, sys
import msgspec
from host.config.spec import NodeSpec
from host.live.control.protocol import Response
spec_fd, ready_fd = map(int, sys.argv[2:4])
with open(spec_fd, "rb") as file:
    spec = msgspec.msgpack.decode(file.read(), type=NodeSpec)
ready = socket.socket(fileno=ready_fd)
say = lambda *a, **k: ready.send(msgspec.msgpack.encode(Response(*a, **k)))
script = sys.argv[1]
if "--attached" not in sys.argv:
    os.makedirs(spec.data, exist_ok=True)
    os.dup2(os.open(os.path.join(spec.data, "supervisor.log"), os.O_WRONLY | os.O_CREAT | os.O_APPEND), 1)
print("started", spec.node, flush=True)
for engine in spec.engines:
    if script == "fails" and engine.name == "bob":
        say("failed", [{"engine": "bob", "reason": "no module x", "detail": "File a.py, line 1"}], last=False)
    elif script != "hangs" or engine.name != "bob":
        say("ready", [{"engine": engine.name, "pid": os.getpid()}], last=False)
if script == "dies":
    sys.exit(3)
if script == "fails":
    say("error", error="not_ready", message="1 of 2 engines is not ready")
elif script == "ready":
    say("node", [{"node": spec.node, "pid": os.getpid()}])
elif script == "taken":
    say("error", error="conflict", message="another supervisor has this node")
if "--attached" in sys.argv:
    ready.recv(1)
    sys.exit(0)
signal.pthread_sigmask(signal.SIG_SETMASK, ())
signal.pause()
"""
"""`hangs` at the second engine, `fails` there, `dies`, is `ready`, or finds its place `taken`.

It inherits signals blocked, as `Launch` says, and like the real one takes them once it can end.
"""


@pytest.fixture
def spec(project: Path) -> NodeSpec:
    """A node of two engines."""
    (project / "clock.yaml").touch()
    engines = tuple(EngineSpec(name, f"a:{name.upper()}") for name in ("server", "bob"))
    return NodeSpec("clock", str((project / "clock.yaml").resolve()), "d1", engines, data=str(project / "data"))


class Started:
    """Launches of this test, so that none outlives it."""

    def __init__(self, spec: NodeSpec) -> None:
        self._spec = spec
        self._launches: list[Launch] = []

    def __call__(self, script: str, *, attached: bool = False) -> Launch:
        launch = Launch(self._spec, attached=attached, program=(sys.executable, "-c", SUPERVISOR, script))
        self._launches.append(launch)
        return launch

    def end(self) -> None:
        for launch in self._launches:
            launch.close()
            assert launch.stop(signal.SIGTERM, signal.SIGKILL) != -signal.SIGKILL, "it had to be killed"


@pytest.fixture
def start(spec: NodeSpec) -> Iterator[Started]:
    """Start a supervisor that follows one of the scripts."""
    started = Started(spec)
    yield started
    started.end()


def test_progress_is_heard_until_the_node_is_ready(start: Started, spec: NodeSpec) -> None:
    """If false, `up -d` would return too early, or never."""
    launch = start("ready")
    assert [(r.kind, r.last) for r in launch.progress(LATE_NS)] == [("ready", False), ("ready", False), ("node", True)]
    assert launch.log == Path(spec.data) / "supervisor.log"
    assert launch.log.read_text() == "started clock\n"


def test_a_detached_supervisor_has_its_own_session_and_an_attached_one_has_not(start: Started) -> None:
    """If false, Ctrl-C in the shell would end a detached node, or not reach an attached one."""
    detached, attached = start("ready"), start("ready", attached=True)
    for launch in (detached, attached):
        list(launch.progress(LATE_NS))
    assert os.getsid(detached.process.pid) == detached.process.pid
    assert os.getpgid(attached.process.pid) == os.getpgid(0)


def test_hanging_up_ends_an_attached_supervisor(start: Started) -> None:
    """If false, a killed `up` would leave a node behind that nobody watches."""
    launch = start("ready", attached=True)
    list(launch.progress(LATE_NS))
    launch.close()
    assert launch.stop() == 0


def test_a_supervisor_that_gets_no_node_leaves_at_once(project: Path) -> None:
    """If false, a mistake in the node file would leave processes behind."""
    with Launch(attached=False) as launch:
        pass
    assert launch.stop() == 0


def test_a_supervisor_that_dies_is_not_ready(start: Started) -> None:
    """If false, `up` would wait out its time for a process that is gone."""
    with pytest.raises(ControlError) as caught:
        list(start("dies").progress(LATE_NS))
    assert caught.value.error == "not_ready"
    assert "ended with code 3 before the node was ready: started clock (in " in caught.value.message


def fail(launch: Launch, spec: NodeSpec, timeout_ns: int = LATE_NS) -> CliError:
    with pytest.raises(CliError) as caught:
        up.wait_ready(launch, spec, timeout_ns)
    return caught.value


def test_an_engine_that_fails_is_named_with_its_reason(start: Started, spec: NodeSpec) -> None:
    """If false, the user would not see which engine is not ready, and why."""
    launch = start("fails")
    problem = fail(launch, spec).problem
    assert (problem.error, problem.exit_code) == ("not_ready", 7)
    assert problem.text == (
        f"server  ready, pid {launch.process.pid}\nbob     not ready: no module x\n\nbob:\nFile a.py, line 1"
    )
    assert problem.error_items() == [
        {"error": "not_ready", "message": "bob: no module x", "exit_code": 7, "engine": "bob"}
        | {"reason": "no module x", "failed": True, "detail": "File a.py, line 1"}
    ]


@pytest.mark.storm
def test_an_engine_that_hangs_is_named(start: Started, spec: NodeSpec) -> None:
    """If false, a time-out would not say whom it waited for."""
    problem = fail(start("hangs"), spec, 2 * SECOND_NS).problem
    assert problem.error == "not_ready"
    assert [i["engine"] for i in problem.items if i["engine"] != "server"] == ["bob"]


def test_a_place_that_is_taken_is_a_conflict(start: Started, spec: NodeSpec) -> None:
    """If false, two commands at the same moment would look like a failed engine."""
    assert fail(start("taken"), spec).problem.exit_code == 9


def test_a_node_that_is_ready_is_shown(start: Started, spec: NodeSpec) -> None:
    """If false, the user would not see what was started."""
    launch = start("ready")
    node = up.wait_ready(launch, spec, LATE_NS)
    pid = launch.process.pid
    engines = [{"engine": "server", "pid": pid}, {"engine": "bob", "pid": pid}]
    assert node == {"node": "clock", "config": spec.path, "pid": pid, "already": False, "ready": engines}
    text = up.render_node([{**node, "ready": [{"engine": "server", "pid": 5}], "took_ns": 210_000_000}])
    assert text == "ENGINE  READY  PID\nserver  yes      5\nnode clock is up: 1 engine in 210 ms"


def test_engines_are_shown_in_the_order_of_the_file(start: Started, spec: NodeSpec) -> None:
    """If false, the order would be a matter of who got ready first, and another one each time."""
    turned = msgspec.structs.replace(spec, engines=tuple(reversed(spec.engines)))
    node = up.wait_ready(start("ready"), turned, LATE_NS)
    assert [engine["engine"] for engine in node["ready"]] == ["bob", "server"]


def test_up_shows_mistakes_of_the_file_and_of_its_families_together(project: Path, cli: Cli) -> None:
    """If false, a user would correct a file, only to learn of the next mistakes."""
    text = 'node: n\nengines:\n  a: {family: "engines.examples.dice:DICE", cuont: 2, config: {patience: 1s}}\n'
    (project / "n.yaml").write_text(text)
    result = cli("up", "n.yaml", "-d", "--json")
    assert result.code == 3
    assert {item["message"] for item in result.envelope["items"]} >= {
        "unknown key `cuont` in engine `a`",
        "unknown key `patience` in `Table`",
    }


def test_a_mistake_that_only_a_family_shows_is_placed_as_validate_does(project: Path, cli: Cli) -> None:
    """If false, the same mistake would have two places, and an editor could jump to one of them only."""
    text = 'node: n\nengines:\n  a: {family: "engines.examples.dice:DICE", config: {patience: 1s}}\n'
    (project / "n.yaml").write_text(text)
    up_says, validate_says = cli("up", "n.yaml", "-d"), cli("validate", "n.yaml")
    assert (up_says.code, up_says.err) == (3, validate_says.err)
    assert up_says.err.startswith("n.yaml:3:")


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch, spec: NodeSpec) -> NodeSpec:
    """`up` finds this node in the file, whatever the file says."""
    monkeypatch.setattr(up, "load_node_file", lambda _: spec)
    return spec


def test_up_of_a_running_unchanged_node_says_so(start_node: StartNode, loaded: NodeSpec, cli: Cli) -> None:
    """If false, the README's set-up command would fail the second time."""
    phases = iter(["starting", "starting", "running", "running"])
    node = start_node("clock.yaml", lambda _: [Response("node", [{"phase": next(phases)}])], digest="d1")
    result = cli("up", "clock.yaml", "-d")
    assert (result.code, result.out) == (0, f"node clock already runs, unchanged (pid {os.getpid()})\n")
    assert cli("up", "-f", "clock.yaml", "--json").envelope["items"][0]["already"] is True
    assert [request.op for request in node.seen] == ["status"] * 4


@pytest.mark.parametrize(
    ("phase", "timeout", "code", "word"), [("stopping", "9s", 7, "ended"), ("starting", "0s", 6, "not ready in time")]
)
def test_up_waits_for_whoever_starts_the_node_already(
    start_node: StartNode, loaded: NodeSpec, cli: Cli, phase: str, timeout: str, code: int, word: str
) -> None:
    """If false, the command would say "runs already" of a node that never got ready."""
    start_node("clock.yaml", lambda _: [Response("node", [{"phase": phase}])], digest="d1")
    result = cli("up", "clock.yaml", "-d", "--timeout", timeout)
    assert result.code == code
    assert word in result.err


def test_up_of_a_running_changed_node_is_a_conflict(start_node: StartNode, loaded: NodeSpec, cli: Cli) -> None:
    """If false, a changed file would seem to be in force."""
    start_node("clock.yaml", digest="another")
    result = cli("up", "clock.yaml", "-d")
    assert result.code == 9
    assert "enginehost down" in result.err


@pytest.mark.parametrize(
    ("argv", "code"), [(("up",), 2), (("up", "no.yaml"), 4), (("up", "clock.yaml", "-f", "b.yaml"), 2)]
)
def test_a_node_file_has_to_be_named(project: Path, cli: Cli, argv: tuple[str, ...], code: int) -> None:
    """If false, `up` would start something the user did not name."""
    (project / "clock.yaml").touch()
    assert cli(*argv).code == code


BAD = """node: clock
engines:
  server: {famly: "engines.examples.timestamping:SERVER"}
placement: {default: proces}
"""


@pytest.mark.parametrize("command", ["validate", "up"])
def test_mistakes_in_a_node_file_come_all_at_once(project: Path, cli: Cli, command: str) -> None:
    """If false, a user would mend one mistake a run, and a program could not place them."""
    (project / "clock.yaml").write_text(BAD)
    result = cli(command, "clock.yaml", "--json")
    assert result.code == 3
    places = [(i["line"], i["error"], i["exit_code"]) for i in result.envelope["items"]]
    assert {line for line, _, _ in places} == {3, 4}
    assert {(error, code) for _, error, code in places} == {("configuration", 3)}
    assert "did you mean `family`?" in result.err
    assert result.err.endswith(f"enginehost: clock.yaml: {len(places)} mistakes\n")
    assert not (project / ".enginehost").exists()
