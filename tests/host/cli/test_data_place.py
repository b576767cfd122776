"""`up` of a node whose data cannot be kept where its file says: what, where, and what to do."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from deadline import DEADLINE_S

NODE = """\
node: clock
{data}
engines:
  sink: {{family: "engines.benchmark.oneway:SINK", durability: crash}}
"""
UP = [sys.executable, "-m", "host", "up", "-d", "node.yaml"]
CONFINED = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-ec"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def up(folder: Path, data: str, argv: list[str] = UP) -> str:
    """What a failing `up` says."""
    (folder / "node.yaml").write_text(NODE.format(data=f"data: {data}" if data else "#"))
    found = subprocess.run(
        argv, cwd=folder, capture_output=True, text=True, timeout=DEADLINE_S, check=False, env=_environment()
    )
    assert found.returncode == 1, found.stderr
    assert "Traceback" not in found.stderr
    return found.stderr


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}


def in_mount(folder: Path, mount: str) -> list[str]:
    """`up` behind a mount of its own at `disk`."""
    (folder / "disk").mkdir()
    tried = [*CONFINED, f"mount -t tmpfs none {folder}/disk"]
    if shutil.which("unshare") is None or subprocess.run(tried, capture_output=True, check=False).returncode:
        pytest.skip("no user namespace with mounts to be had")
    return [*CONFINED, f"{mount}\nexec {' '.join(UP)}"]


def test_a_folder_that_cannot_be_made(folder: Path) -> None:
    """False if the place in the file, the path, the reason or the advice were missing."""
    said = up(folder, "/proc/nope")
    assert "node.yaml:2:7: the node's data cannot be kept in /proc/nope: No such file or directory" in said
    assert "  2 | data: /proc/nope" in said
    assert "name another folder as `data`" in said


@pytest.mark.storm
def test_a_file_in_the_way(folder: Path) -> None:
    """False if a file were blamed on the system, also one further up."""
    (folder / "there").write_text("")
    assert f"{folder}/there is a file, not a folder" in up(folder, "there")
    assert f"cannot be kept in {folder}/there/below: {folder}/there is a file" in up(folder, "there/below")


@pytest.mark.parametrize(
    "name",
    ["lock", "journal", *(pytest.param(one, marks=pytest.mark.storm) for one in ("supervisor.log", "journal/lives"))],
)
def test_something_else_where_a_file_of_ours_belongs(folder: Path, name: str) -> None:
    """False if it had to be guessed what in the folder is in the way."""
    there = folder / "full" / name
    if name == "journal":
        there.parent.mkdir()
        there.write_text("")
    else:
        there.mkdir(parents=True)
    said = up(folder, "full")
    assert "node.yaml:2:7: the node's data cannot be kept in" in said
    assert f"{folder}/full/{name}" in said
    assert "move away what is in the way there" in said


@pytest.mark.storm
def test_a_link_that_leads_nowhere(folder: Path) -> None:
    """False if the link were called a file that exists."""
    (folder / "link").symlink_to("nowhere")
    said = up(folder, "link")
    assert f"{folder}/link leads to nowhere, which is not there" in said
    assert "make nowhere, or name another folder" in said


def test_a_folder_that_can_only_be_read(folder: Path) -> None:
    """False if a mount without writing ended in an errno."""
    said = up(folder, "disk/data", in_mount(folder, f"mount -t tmpfs -o ro none {folder}/disk"))
    assert "node.yaml:2:7" in said
    assert "Read-only file system" in said
    assert "let this user write there" in said


def test_a_full_disk(folder: Path) -> None:
    """False if a disk without room for the journal were not named, with the folder."""
    fill = f"mount -t tmpfs -o size=64k none {folder}/disk\nhead -c 1M /dev/zero > {folder}/disk/fill || true"
    said = up(folder, "disk/data", in_mount(folder, fill))
    assert f"cannot be kept in {folder}/disk/data: No space left on device" in said
    assert "make room there" in said


def test_without_a_line_in_the_file_the_path_is_said(folder: Path) -> None:
    """False if the place of something else were shown."""
    (folder / ".enginehost").write_text("")
    said = up(folder, "")
    assert f"cannot be kept in {folder}/.enginehost/clock: {folder}/.enginehost is a file" in said
    assert "node.yaml:" not in said
