"""Control groups of a node: where they may be made, and that they bound one process, tell of its end, and go with it.

Tests with groups of the kernel run where this process is in one that was handed over (`ENGINEHOST_CGROUP=own` says so
for root). Reading where that is, and what becomes of refusals, is tested on plain files, which are as well readable.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pytest
from deadline import killed_at_last
from live_nodes import LiveNode, World, counter, until
from test_kill_everything import kill_all

from host.config.spec import ChildSpec, EngineSpec, SupervisionSpec, TransportSpec
from host.live.control.client import Client
from host.live.control.protocol import ControlError
from host.live.supervisor.control_group_home import VARIABLE, Home, find_home
from host.live.supervisor.control_group_leaf import divide, processes
from host.live.supervisor.control_groups import ControlGroup, ControlGroups, bound_of

HOME = find_home()
needs_home = pytest.mark.skipif(isinstance(HOME, str), reason=f"no control group to divide: {HOME}")

MEMORY = 128 << 20
SMALL = TransportSpec(lane_bytes=1 << 14, arena_bytes=64 << 20)
"""So that bounds are hundreds of megabytes, not a gigabyte."""

TOO_MUCH = 400
"""Megabytes above any bound here."""

FREE = SupervisionSpec(intensity=None, backoff_ns=0, budget=None)


# --- where --------------------------------------------------------------------------------------------------------


class Described:
    """A machine in plain files: what the kernel says of a process, and one group."""

    def __init__(self, folder: Path, version: Literal[1, 2]) -> None:
        self.proc = folder / "proc"
        self.group = folder / "groups" / "mine"
        self.proc.mkdir()
        self.group.mkdir(parents=True)
        kind, options = ("cgroup", "rw,memory") if version == 1 else ("cgroup2", "rw")
        self.mounted(f"30 20 0:25 / {folder / 'groups'} rw shared:1 - {kind} none {options}")
        self.inside("4:memory:/mine\n0::/other\n" if version == 1 else "3:cpu:/x\n0::/mine\n")
        self.file("cgroup.procs")
        if version == 1:
            self.file("memory.use_hierarchy", "1\n")
        else:
            self.file("cgroup.controllers", "cpu memory pids\n")
            self.file("cgroup.subtree_control")

    def mounted(self, line: str) -> None:
        (self.proc / "mountinfo").write_text(f"29 1 0:3 / /proc rw - proc proc rw\n{line}\n")

    def inside(self, text: str) -> None:
        (self.proc / "cgroup").write_text(text)

    def file(self, name: str, text: str = "") -> None:
        (self.group / name).write_text(text)

    def home(self) -> Home | str:
        return find_home(str(self.proc))


@pytest.fixture(params=[1, 2])
def described(request: pytest.FixtureRequest, own_place: Path, monkeypatch: pytest.MonkeyPatch) -> Described:
    """Of each version; it is said to be ours."""
    monkeypatch.setenv(VARIABLE, "own")
    return Described(own_place, request.param)


def version_of(described: Described) -> int:
    return 1 if (described.group / "memory.use_hierarchy").exists() else 2


def test_a_group_that_is_ours_is_found(described: Described) -> None:
    """No machine has a home, or the version is mistaken."""
    assert described.home() == Home(version_of(described), str(described.group))  # type: ignore[arg-type]


def test_a_hierarchy_that_shows_a_part_is_followed(described: Described, own_place: Path) -> None:
    """In a container, a path that is counted from the machine's root leads nowhere."""
    kind, options = ("cgroup", "rw,memory") if version_of(described) == 1 else ("cgroup2", "rw")
    described.mounted(f"30 20 0:25 /box {own_place / 'groups'} rw - {kind} none {options}")
    described.inside("4:memory:/box/mine\n" if kind == "cgroup" else "0::/box/mine\n")
    assert described.home() == Home(version_of(described), str(described.group))  # type: ignore[arg-type]
    described.inside("4:memory:/another/mine\n" if kind == "cgroup" else "0::/another/mine\n")
    assert "not mounted" in str(described.home())


def test_off_and_unknown_words_are_no_home(described: Described, monkeypatch: pytest.MonkeyPatch) -> None:
    """A user cannot turn groups off, or a slip of the pen turns them on."""
    monkeypatch.setenv(VARIABLE, "off")
    assert described.home() == f"{VARIABLE}=off"
    monkeypatch.setenv(VARIABLE, "yes")
    assert "auto, own, off" in str(described.home())


def test_root_needs_more_than_the_right_to_write(described: Described, monkeypatch: pytest.MonkeyPatch) -> None:
    """A node that root starts divides groups of a service manager, behind its back."""
    if os.geteuid() != 0:
        pytest.skip("not root")
    monkeypatch.delenv(VARIABLE)
    assert "not handed over" in str(described.home())
    try:
        os.setxattr(described.group, "trusted.delegate", b"1")
    except OSError as error:
        pytest.skip(f"no such attributes here: {error}")
    assert isinstance(described.home(), Home)


def test_who_may_not_write_has_no_home(described: Described, own_place: Path) -> None:
    """A node tries, at every birth, what it may not do."""
    for path in described.group.parents:
        if own_place.parent in (path, *path.parents):
            path.chmod(0o755)
    described.group.chmod(0o555)
    assert "is not ours to divide" in _as_nobody(described)


def _as_nobody(described: Described) -> str:
    """What a user without rights finds, in a process of its own."""
    if os.geteuid() != 0:
        return str(described.home())
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.setuid(65_534)
        os.write(write, str(described.home()).encode())
        os._exit(0)
    os.close(write)
    with open(read, encoding="utf-8") as file:
        os.waitpid(pid, 0)
        return file.read()


def test_what_does_not_count_memory_is_no_home(described: Described) -> None:
    """Groups are made that limit nothing, or let memory escape the limits above."""
    if version_of(described) == 1:
        described.file("memory.use_hierarchy", "0\n")
        assert "would not count" in str(described.home())
    else:
        described.file("cgroup.controllers", "cpu\n")
        assert "no memory controller" in str(described.home())
    (described.proc / "cgroup").write_text("")
    assert described.home() == "no control groups"
    (described.proc / "cgroup").unlink()
    assert "cannot be read" in str(described.home())


def test_a_process_in_the_leaf_has_the_home_above(described: Described) -> None:
    """A second node, started beside the first one, divides its leaf."""
    if version_of(described) == 1:
        pytest.skip("version 1 needs no leaf")
    described.inside("0::/mine/enginehost\n")
    assert described.home() == Home(2, str(described.group))


# --- refusals -----------------------------------------------------------------------------------------------------


def test_a_group_that_cannot_be_made_is_told_once(described: Described) -> None:
    """A start fails for it, or nobody learns of it, or a half-made group stays.

    Plain folders refuse: a new one has no file to write a limit to, and this one nobody to move.
    """
    told: list[tuple[str, Any]] = []
    home = described.home()
    (described.group / "cgroup.procs").unlink()
    before = sorted(os.listdir(described.group))
    groups = ControlGroups(home, "n", "/data", lambda kind, **fields: told.append((kind, fields)))
    assert [groups.make(1, MEMORY), groups.make(1, MEMORY)] == [None, None]
    assert [kind for kind, _ in told] == ["no_control_group"]
    assert isinstance(home, Home)
    assert told[0][1]["home"] == home.folder
    groups.close()
    assert sorted(os.listdir(described.group)) == before


def test_where_there_is_no_home_nothing_is_told() -> None:
    """Every node on most machines begins with a complaint."""
    groups = ControlGroups("none here", "n", "/data", lambda kind, **fields: pytest.fail(kind))
    assert groups.make(1, MEMORY) is None
    groups.enter(None, 1)
    groups.end(None)
    groups.look()
    groups.sweep()
    groups.close()


def test_others_in_the_home_stay_where_they_are(described: Described) -> None:
    """A node takes a stranger's process along into its leaf."""
    if version_of(described) == 1:
        pytest.skip("version 1 moves nobody")
    described.file("cgroup.procs", "1\n")
    with pytest.raises(OSError, match="other processes are in it, as 1"):
        divide(str(described.group))
    assert not (described.group / "enginehost").exists()


def test_the_bound_lets_a_process_have_what_the_node_allows_it() -> None:
    """A process within its limit is killed for its lanes, its arena, or the fork that writes its snapshot."""
    transport = TransportSpec()
    own = bound_of(MEMORY, transport, journaled=False)
    assert own > MEMORY + transport.arena_bytes + 63 * transport.lane_bytes
    assert bound_of(MEMORY, transport, journaled=True) == own + MEMORY


# --- groups of the kernel -----------------------------------------------------------------------------------------


def ours() -> set[str]:
    """Groups of any node."""
    assert isinstance(HOME, Home)
    return {entry.name for entry in os.scandir(HOME.folder) if entry.is_dir() and entry.name.startswith("enginehost")}


@pytest.fixture
def groups(tmp_path: Path) -> Iterator[ControlGroups]:
    """Of one node."""
    made = ControlGroups(HOME, "n", str(tmp_path), lambda kind, **fields: pytest.fail(f"{kind} {fields}"))
    yield made
    made.close()
    assert not ours()


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    """A process to be put into groups."""
    with subprocess.Popen(["sleep", "3600"]) as process, killed_at_last(process):
        yield process


def group_of(groups: ControlGroups) -> ControlGroup:
    made = groups.make(3, 300 << 20)
    assert made is not None
    return made


@needs_home
def test_a_group_has_its_bound_and_its_process(groups: ControlGroups, sleeper: subprocess.Popen[bytes]) -> None:
    """A group limits nothing, or holds nobody, or stays when its process has ended."""
    group = group_of(groups)
    limit = next(p for name in ("memory.max", "memory.limit_in_bytes") if (p := Path(group.folder, name)).exists())
    assert limit.read_text() == f"{300 << 20}\n"
    groups.enter(group, sleeper.pid)
    assert processes(group.folder) == [sleeper.pid]
    sleeper.kill()
    sleeper.wait()
    groups.end(group)
    assert not os.path.exists(group.folder)
    assert groups.evidence(sleeper.pid) == "", "killed by us, and not for lack of memory"


@needs_home
def test_a_group_in_use_goes_when_its_last_process_has_ended(
    groups: ControlGroups, sleeper: subprocess.Popen[bytes]
) -> None:
    """A program that outlives its worker keeps a group for ever."""
    group = group_of(groups)
    groups.enter(group, sleeper.pid)
    groups.end(group)
    groups.sweep()
    assert os.path.exists(group.folder)
    sleeper.kill()
    sleeper.wait()
    groups.sweep()
    assert not os.path.exists(group.folder)


@needs_home
def test_groups_of_a_killed_supervisor_go_and_those_of_others_stay(groups: ControlGroups, tmp_path: Path) -> None:
    """What a kill leaves stays for ever, or a start takes a neighbour's groups away."""
    group = group_of(groups)

    def refuse(kind: str, **fields: Any) -> None:
        pytest.fail(f"{kind} {fields}")

    other = ControlGroups(HOME, "n", str(tmp_path / "other"), refuse)
    theirs = group_of(other)
    ControlGroups(HOME, "n", str(tmp_path), refuse)
    assert not os.path.exists(group.folder), "left by an earlier life"
    assert os.path.exists(theirs.folder)
    other.close()
    assert not os.path.exists(theirs.folder)


# --- live nodes ---------------------------------------------------------------------------------------------------


def eater(name: str, **rest: Any) -> EngineSpec:
    return EngineSpec(name, "eating:EATER", child=ChildSpec(memory_bytes=MEMORY), **rest)


def post(node: LiveNode, engine: str, tag: str, **fields: Any) -> None:
    """Send, whatever becomes of it and of its engine."""
    written = {name: ["json", value] for name, value in fields.items()}
    with Client(node.client.path) as client:
        try:
            client.request("send", {"engine": engine, "tag": tag, "fields": written, "timeout_ns": 10**9})
        except ControlError as error:
            assert error.error in ("failed", "timeout"), error  # noqa: PT017


def group_of_process(pid: int) -> str:
    """The name of the group that counts its memory."""
    lines = Path(f"/proc/{pid}/cgroup").read_text().splitlines()
    return next(line for line in lines if "enginehost" in line).rpartition("/")[2]


@needs_home
def test_only_who_takes_too_much_is_killed_and_it_is_said_why(world: World) -> None:
    """Shared memory of one engine takes the machine's, or its kill looks like anybody's, or neighbours die too."""
    spec = world.spec(eater("a"), eater("b"), counter("c"), supervision=FREE, transport=SMALL)
    with world.up(spec) as node:
        before = node.ps()
        name = group_of_process(before["a"]["pid"])
        assert len({name, group_of_process(before["b"]["pid"])}) == 2
        node.send("b", "Add", amount=2)
        node.send("c", "Add")
        post(node, "a", "Share", megabytes=TOO_MUCH)
        crashed = until(lambda: node.events("crashed"), "the end of the process that took too much", 30)
        assert [(e["engine"], e["reason"]) for e in crashed] == [("a", "out_of_memory")]
        assert f"control group {name} rose by 1" in crashed[0]["detail"]
        until(lambda: node.states()["a"] == "running", "its restart")
        assert node.total("a") == 0
        assert (node.total("b"), node.total("c")) == (2, 1)
        until(lambda: name not in ours(), "the end of its group")
        assert group_of_process(node.ps()["a"]["pid"]) != name
        node.end()
    assert not ours()


@needs_home
def test_a_sigkill_of_somebody_is_not_for_lack_of_memory(world: World) -> None:
    """Who is in a group is always out of memory."""
    with world.up(world.spec(eater("a"), supervision=FREE, transport=SMALL)) as node:
        os.kill(node.ps()["a"]["pid"], signal.SIGKILL)
        crashed = until(lambda: node.events("crashed"), "its end")
        assert crashed[0]["reason"] == "signal"
        until(lambda: node.states()["a"] == "running", "its restart")


@needs_home
def test_a_program_that_takes_too_much_is_killed_alone(world: World) -> None:
    """What an engine starts is not limited, or takes it along, or nobody learns of it."""
    spec = world.spec(eater("a"), supervision=FREE, transport=SMALL)
    with world.up(spec) as node:
        name = group_of_process(node.ps()["a"]["pid"])
        post(node, "a", "Run", megabytes=TOO_MUCH)
        until(lambda: node.total("a") == -signal.SIGKILL, "the end of the program", 30)
        (killed,) = until(lambda: node.events("memory_kill"), "word of it")
        assert (killed["group"], killed["count"]) == (name, 1)
        assert node.ps()["a"]["restarts"] == 0


@needs_home
def test_nothing_is_left_after_a_kill_of_everything_and_a_new_start(world: World) -> None:
    """Groups of killed nodes pile up, or the next node cannot be started, or a neighbour's group is taken."""
    spec = world.spec(eater("a"), eater("b"), supervision=FREE, transport=SMALL)
    with world.up(spec) as node:
        name = group_of_process(node.ps()["a"]["pid"])
        kill_all(world)
        until(lambda: not world.processes(), "the end of all processes")
    assert name in ours(), "nobody was left to remove it"
    other = world.spec(eater("a"), node="other", supervision=FREE, transport=SMALL)
    with world.up(other) as neighbour:
        theirs = group_of_process(neighbour.ps()["a"]["pid"])
        with world.up(spec) as node:
            assert name not in ours()
            assert theirs in ours()
            node.end()
        assert {n for n in ours() if n != "enginehost"} == {theirs}
        neighbour.send("a", "Add")
        assert neighbour.total("a") == 1
        neighbour.end()
    assert not ours()


@needs_home
def test_a_kill_of_the_supervisor_alone_is_cleared_away_too(world: World) -> None:
    """The groups of workers that die with their supervisor stay."""
    spec = world.spec(eater("a"), supervision=FREE, transport=SMALL)
    for _ in range(2):
        with world.up(spec) as node:
            group_of_process(node.ps()["a"]["pid"])
            os.kill(node.pid, signal.SIGKILL)
            until(lambda: not world.processes(), "the end of all processes")
    with world.up(spec) as node:
        assert len({n for n in ours() if n != "enginehost"}) == 1
        node.end()
    assert not ours()


@needs_home
def test_a_program_that_left_its_session_goes_with_the_node(world: World) -> None:
    """A daemon that an engine started keeps a group after `down`."""
    with world.up(world.spec(eater("a"), supervision=FREE, transport=SMALL)) as node:
        node.send("a", "Start")
        until(lambda: node.total("a"), "the program")
        os.kill(node.ps()["a"]["pid"], signal.SIGKILL)
        until(lambda: node.events("restarted", "a"), "the restart")
        assert len({n for n in ours() if n != "enginehost"}) == 2
        node.end()
    assert not ours()


def test_a_node_without_groups_has_its_rlimits(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no group can be had, a limit is an error, or nothing."""
    monkeypatch.setenv(VARIABLE, "off")
    with world.up(world.spec(eater("a"), supervision=FREE, transport=SMALL)) as node:
        assert node.total("a") == 0
        lines = Path(f"/proc/{node.ps()['a']['pid']}/limits").read_text().splitlines()
        assert str(MEMORY) in next(line for line in lines if line.startswith("Max data size"))
        assert node.events("no_control_group") == []
