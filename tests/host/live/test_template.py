"""Where the workers of a node come from, and when they come from elsewhere."""

from __future__ import annotations

import os
import signal
import socket
import sys
from pathlib import Path

import msgspec
import pytest
from deadline import DEADLINE_NS
from live_nodes import LiveNode, World, until

from engines.benchmark import spawn
from engines.model import Family, load_family
from host.config.spec import EngineSpec, SupervisionSpec
from host.live.inspection.inspect_records import digest_of
from host.live.journal.versions import keep_version, version_path
from host.live.packets import Channel
from host.live.spawn.zygote import Ahead, Fork, OutputFile
from host.live.supervisor.nursery import Nursery
from host.live.worker.loading import keep_for_forks, loader

MODULE = """
import os, threading
with open({trace!r}, "a") as file:
    file.write(f"{{os.getpid()}}\\n")
print("a module speaks", flush=True)
{more}
from counting import COUNTER
"""
THREAD = "threading.Thread(target=threading.Event().wait, daemon=True).start()"
OPENED = "opened = open(os.devnull)"


def family(world: World, more: str = "") -> tuple[list[EngineSpec], Path]:
    """Three engines of a family whose module writes down who imports it, and where."""
    trace = world.folder / "trace"
    (world.roots / "traced.py").write_text(MODULE.format(trace=str(trace), more=more))
    return [EngineSpec(name, "traced:COUNTER") for name in "abc"], trace


def importers(trace: Path) -> list[int]:
    return [int(line) for line in trace.read_text().split()]


def restart(node: LiveNode, name: str) -> int:
    """Kill an engine's process; the new one."""
    before = len(node.events("restarted", name))
    os.kill(node.ps()[name]["pid"], signal.SIGKILL)
    until(lambda: len(node.events("restarted", name)) > before, "the restart")
    return int(node.ps()[name]["pid"])


def test_families_are_imported_once_while_nobody_edits_them(world: World) -> None:
    """False if each of many workers imported and held the same, or one that is restarted ran what was edited since."""
    engines, trace = family(world)
    with world.up(world.spec(*engines)) as node:
        (template,) = importers(trace)
        assert template not in {item["pid"] for item in node.ps().values()}
        assert restart(node, "a") not in importers(trace)
        source = world.roots / "traced.py"
        source.write_text(source.read_text() + "\n")
        edited = restart(node, "b")
        assert importers(trace) == [template, edited]
        until(lambda: template not in world.processes(), "the end of the template")
        assert importers(trace) == [template, edited]
        source.write_text(source.read_text().rstrip())
        assert restart(node, "c") == importers(trace)[-1]
        assert [node.total(name) for name in "abc"] == [0, 0, 0]
        log = Path(node.spec.data, "supervisor.log").read_text()
        assert log.count("a module speaks") == 3


def test_a_spawned_family_is_kept_and_ready(tmp_path: Path) -> None:
    """False if each process of a spawned engine read the sources again, and made the reader of its mailbox anew."""
    source = tmp_path / "kept_ones.py"
    source.write_text(Path(spawn.__file__).read_text())
    roots = (str(tmp_path),)
    parent = load_family("kept_ones:PARENT", roots)
    keep_for_forks({parent.ref: parent})
    source.unlink()
    del sys.modules["kept_ones"]
    child = loader(roots, check=False)("kept_ones:CHILD")
    assert isinstance(parent, Family)
    assert [child] == [*parent.spawns]
    assert child.version == parent.version
    assert child.boxes[0]._decode is not None


def test_what_is_saved_while_a_process_begins_is_not_run(tmp_path: Path) -> None:
    """False if a process that nobody asked for ran what was saved behind its look at the sources, or ran code at
    another place than its file although that has its text."""
    roots, names = (str(tmp_path),), ("saved_first", "saved_then")
    text = Path(spawn.__file__).read_text()
    for name in names:
        (tmp_path / f"{name}.py").write_text(text)
        keep_version(str(tmp_path), load_family(f"{name}:PARENT", roots))
        del sys.modules[name]
    code = tuple(sorted(map(str, tmp_path.glob("*.code"))))
    load = loader(roots, check=False, code=code)
    versions = [load("saved_first:PARENT").version]
    (tmp_path / "saved_then.py").write_text(text + "# saved\n")
    versions.append(load("saved_then:PARENT").version)
    assert [version_path(str(tmp_path), version) for version in sorted(versions)] == [*code]
    assert [sys.modules[name].__file__ for name in names] == [str(tmp_path / f"{name}.py") for name in names]


@pytest.mark.storm
@pytest.mark.parametrize("change", ["imported", "removed", "added"])
def test_the_template_is_let_go_for_any_file_that_it_runs(world: World, change: str) -> None:
    """False if only the module of a family were looked at, or the supervisor stumbled over one that is gone."""
    (world.roots / "beside.py").write_text("")
    engines, trace = family(world, "import beside")
    with world.up(world.spec(*engines)) as node:
        if change == "imported":
            (world.roots / "beside.py").write_text("EDITED = True\n")
        elif change == "added":
            (world.roots / "beside").mkdir()
            (world.roots / "beside" / "__init__.py").write_text("")
        else:
            (world.roots / "traced.py").rename(world.roots / "traced.gone")
            os.kill(node.ps()["a"]["pid"], signal.SIGKILL)
            until(lambda: node.events("crashed", "a"), "the crash")
            (world.roots / "traced.gone").rename(world.roots / "traced.py")
        assert restart(node, "b") in importers(trace)


def test_a_reload_imports_for_itself(world: World) -> None:
    """False if the new process of a reload, or one after it, were forked from one that has the module already."""
    engines, trace = family(world)
    with world.up(world.spec(*engines)) as node:
        node.ask("reload", engine="a", timeout_ns=DEADLINE_NS)
        assert importers(trace)[1:] == [node.ps()["a"]["pid"]]
        restarted = [restart(node, name) for name in "ab"]
        assert importers(trace)[2:] == restarted


@pytest.mark.storm
@pytest.mark.parametrize("durability", ["volatile", "durable"])
def test_what_a_reload_brought_into_force_stays(world: World, durability: str) -> None:
    """False if a restart went back to what the node began with, and recovered the turns of one code with another."""
    step = world.roots / "step.txt"
    step.write_text("1")
    source = (world.roots / "lasting.py").read_text()
    assert "state.count + m.amount" in source
    read = "from pathlib import Path\nSTEP = int(Path(__file__).with_name('step.txt').read_text())\n"
    changed = source.replace("state.count + m.amount", "state.count + m.amount * STEP")
    head, future, rest = changed.partition("from __future__ import annotations\n")
    (world.roots / "stepping.py").write_text(head + future + read + rest)
    with world.up(world.spec(EngineSpec("a", "stepping:LASTING", durability=durability))) as node:
        node.send("a", "Add", amount=1)
        step.write_text("100")
        node.ask("reload", engine="a", timeout_ns=DEADLINE_NS)
        node.send("a", "Add", amount=1)
        restart(node, "a")
        node.send("a", "Add", amount=1)
        assert node.total("a") == (201 if durability == "durable" else 100)


@pytest.mark.storm
def test_a_template_that_does_not_answer_is_let_go(world: World) -> None:
    """False if births hung on it again and again, and engines became degraded that did nothing wrong."""
    engines, trace = family(world)
    supervision = SupervisionSpec(backoff_ns=0, start_ns=2_500_000_000)
    with world.up(world.spec(*engines, supervision=supervision)) as node:
        (template,) = importers(trace)
        os.kill(template, signal.SIGSTOP)
        assert restart(node, "a") == importers(trace)[-1]
        assert len(node.events("start_timeout", "a")) == 1


def test_what_is_no_file_of_text_has_no_digest(tmp_path: Path) -> None:
    """False if the supervisor waited for whoever writes into a pipe that lies where a module was."""
    os.mkfifo(tmp_path / "module.py")
    assert digest_of(str(tmp_path / "module.py")) == digest_of(str(tmp_path / "nothing")) == b""


@pytest.mark.storm
def test_a_template_that_was_killed_is_not_missed(world: World) -> None:
    """False if births of a node that runs hung on a process that only makes them faster."""
    engines, trace = family(world)
    with world.up(world.spec(*engines)) as node:
        (template,) = importers(trace)
        os.kill(template, signal.SIGKILL)
        assert restart(node, "a") == importers(trace)[-1]


@pytest.mark.parametrize("more", [THREAD, OPENED])
@pytest.mark.storm
def test_what_a_fork_does_not_copy_is_done_by_each_process(world: World, more: str) -> None:
    """An engine runs without the thread its module started, or shares an open file with others."""
    engines, trace = family(world, more)
    with world.up(world.spec(*engines)) as node:
        workers = {item["pid"] for item in node.ps().values()}
        assert set(importers(trace)[1:]) == workers


def test_a_template_that_is_gone_is_not_missed() -> None:
    """A node does not start because a process that only makes its start faster was killed."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    gone, end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    end.close()
    heard = Channel(theirs, msgspec.msgpack.Decoder(OutputFile | Ahead | Fork))
    nursery = Nursery(ours, 0, Ahead((), ()))
    nursery.use_template(gone, {})
    asked = nursery.bear(Fork("worker", "a", "a"), 0)
    assert not nursery.has_lost(asked)
    packets = [heard.receive() for _ in range(3)]
    assert [type(found[0]) for found in packets if found] == [OutputFile, Ahead, Fork]
    for found in packets:
        assert found is not None
        for descriptor in found[1]:
            os.close(descriptor)
    heard.close()
    assert nursery.has_lost(asked)
    nursery.close()
