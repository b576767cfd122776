"""Nodes that are not where a command looks first: moved, swept, switched, or started in another environment."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from host.live.control.instances import runtime_roots
from host.program import command

LATE_S = 60
NODE = "node: away\nengines:\n  a: {family: 'engines.examples.greeting:GREETEE'}\n"


def run(*argv: str, **environment: str) -> subprocess.CompletedProcess[str]:
    line = [*command("host.__main__"), *argv]
    env = {**os.environ, **environment}
    return subprocess.run(line, capture_output=True, text=True, timeout=LATE_S, check=False, env=env)


@pytest.fixture
def home(project: Path) -> Iterator[Path]:
    """A folder with a node file, `p/node.yaml`; its nodes are ended by their processes if by nothing else."""
    (project / "p").mkdir()
    (project / "p" / "node.yaml").write_text(NODE)
    pids: list[int] = []
    yield project
    for folder in project.rglob("lock"):
        if content := folder.read_text():
            pids.append(int(json.loads(content)["pid"]))
    for pid in pids:
        if runs(pid):
            os.kill(pid, signal.SIGKILL)
            raise AssertionError(f"supervisor {pid} still ran")


def runs(pid: int) -> bool:
    """Whether this is a supervisor; one that has ended and waits to be collected has no command line."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().startswith(b"enginehost: away")
    except OSError:
        return False


def start(path: str, **environment: str) -> int:
    """Have a node up; the pid of its supervisor."""
    done = run("up", path, "-d", "--json", **environment)
    assert done.returncode == 0, done.stderr
    return int(json.loads(done.stdout)["items"][0]["pid"])


@pytest.mark.storm
@pytest.mark.parametrize("argv", [("-f", "q/node.yaml"), ("-f", "p/node.yaml"), ()])
def test_a_node_whose_folder_moved(home: Path, argv: tuple[str, ...]) -> None:
    """False if nothing but its process number ends a node whose project was renamed."""
    pid = start("p/node.yaml")
    os.rename("p", "q")
    refused = run("up", "q/node.yaml", "-d")
    assert (refused.returncode, f"pid {pid}" in refused.stderr, "p/node.yaml" in refused.stderr) == (9, True, True)
    if not argv:
        os.chdir("q")
    shown = run(*argv, "ps")
    is_told = f"(pid {pid}) was started as {home}/p/node.yaml" in shown.stderr
    assert (shown.returncode, is_told) == (0, "p/node.yaml" not in argv)
    assert run(*argv, "down").returncode == 0


@pytest.mark.storm
@pytest.mark.parametrize("what", ["all", "control"])
def test_a_node_whose_runtime_folder_was_swept(home: Path, what: str) -> None:
    """False if a cleaner of temporary files makes a node unreachable, or its next `up` a second one."""
    pid = start("p/node.yaml")
    (folder,) = Path(runtime_roots()[0]).iterdir()
    if what == "all":
        shutil.rmtree(folder.parent)
    else:
        (folder / what).unlink()
    assert run("up", "p/node.yaml", "-d").stdout == f"node away already runs, unchanged (pid {pid})\n"
    assert run("ps").returncode == 0
    assert run("down").returncode == 0
    assert not folder.exists()


@pytest.mark.storm
def test_a_node_of_another_runtime_folder(home: Path) -> None:
    """False if a node started from a login is out of reach for a cron job."""
    (home / "run").mkdir(mode=0o700)
    pid = start("p/node.yaml", XDG_RUNTIME_DIR=str(home / "run"))
    assert f"pid {pid}" in run("doctor").stdout
    assert f"(pid {pid})" in run("up", "p/node.yaml", "-d").stdout
    assert run("ps").returncode == run("-f", "p/node.yaml", "ps").returncode == 0
    assert run("down").returncode == 0


@pytest.mark.storm
def test_a_runtime_folder_that_cannot_be_made_again_is_made_elsewhere(home: Path) -> None:
    """False if the end of a login, which removes its folder, cuts off the nodes that go on."""
    (home / "run").mkdir(mode=0o700)
    start("p/node.yaml", XDG_RUNTIME_DIR=str(home / "run"))
    shutil.rmtree(home / "run")
    (home / "run").touch()
    assert run("ps").returncode == 0
    assert run("down").returncode == 0


def test_a_node_behind_a_link_that_was_switched(home: Path) -> None:
    """False if the new release is started beside the old one, which no path leads to any more."""
    os.symlink("p", "current")
    pid = start("current/node.yaml")
    shutil.copytree("p", "r", ignore=shutil.ignore_patterns(".enginehost"))
    os.unlink("current")
    os.symlink("r", "current")
    refused = run("up", "current/node.yaml", "-d")
    assert (refused.returncode, f"pid {pid}" in refused.stderr) == (9, True)
    assert run("-f", "current/node.yaml", "down").returncode == 0


@pytest.mark.storm
def test_a_data_folder_that_is_taken_names_who_has_it(home: Path) -> None:
    """False if the owner of the folder has to be looked for among all processes."""
    for name in ("one", "two"):
        (home / f"{name}.yaml").write_text(NODE + "data: shared\n")
    pid = start("one.yaml")
    refused = run("up", "two.yaml", "-d")
    assert (refused.returncode, f"node away (pid {pid}), started as {home}/one.yaml" in refused.stderr) == (9, True)
    assert run("down", "--all").returncode == 0


@pytest.mark.storm
def test_two_nodes_of_one_name_are_told_apart_and_ended_together(home: Path) -> None:
    """False if one has to guess which of them a command means, or ends them one by one."""
    (home / "other.yaml").write_text(NODE + "data: other\n")
    pid = start("p/node.yaml")
    second = run("up", "other.yaml", "-d")
    assert f"another node named away is running ({home}/p/node.yaml, pid {pid})" in second.stderr
    listed = run("ps")
    assert (listed.returncode, "away (other.yaml), away (p/node.yaml)" in listed.stderr) == (9, True)
    assert run("down", "--all", "-f", "other.yaml").returncode == 2
    ended = run("down", "--all", "--json")
    assert [item["config"] for item in json.loads(ended.stdout)["items"]] == [
        str(home / "other.yaml"),
        str(home / "p" / "node.yaml"),
    ]
    assert run("down", "--all").returncode == 5


def test_a_relative_runtime_folder_is_ignored(home: Path) -> None:
    """False if each folder a command is typed in has nodes of its own."""
    start("p/node.yaml", XDG_RUNTIME_DIR="relative/run")
    assert not (home / "relative").exists()
    os.chdir("p")
    assert run("down", XDG_RUNTIME_DIR="relative/run").returncode == 0
