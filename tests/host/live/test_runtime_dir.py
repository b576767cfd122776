from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from host.live.control.instances import Instance, read_instance
from host.live.supervisor.runtime_dir import FolderRefused, FolderTaken, claim


@pytest.fixture(autouse=True)
def own_root(own_place: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(own_place))
    return own_place


def test_one_holder_at_a_time_and_nothing_left(own_root: Path) -> None:
    """Two supervisors run one node, or a folder stays behind."""
    held = claim("/a/node.yaml")
    with pytest.raises(FolderTaken):
        claim("/a/node.yaml")
    other = claim("/b/node.yaml")
    held.close()
    held.close()
    again = claim("/a/node.yaml")
    again.close()
    other.close()
    assert os.listdir(own_root / "enginehost") == []


def test_what_a_killed_supervisor_left_is_cleared(own_root: Path) -> None:
    """A stale socket or node.json is taken for a living node."""
    killed = claim("/a/node.yaml")
    for name in ("control", "s3", "node.json"):
        Path(killed.folder, name).touch()
    os.close(killed._lock_fd)
    found = claim("/a/node.yaml")
    assert os.listdir(found.folder) == ["lock"]
    found.close()


def test_the_folder_is_ours_alone(own_root: Path) -> None:
    """Others may read our sockets, or prepare the folder for us."""
    (own_root / "enginehost").mkdir(mode=0o755)
    held = claim("/a/node.yaml")
    for folder in (own_root / "enginehost", Path(held.folder)):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    held.close()
    os.rmdir(own_root / "enginehost")
    (own_root / "elsewhere").mkdir()
    (own_root / "enginehost").symlink_to(own_root / "elsewhere")
    with pytest.raises(FolderRefused, match="not a folder of this user"):
        claim("/a/node.yaml")


def test_a_root_too_long_for_sockets_is_refused(own_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The node starts, and its socket cannot be bound."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(own_root / ("x" * 100)))
    with pytest.raises(FolderRefused, match="too long for a socket path"):
        claim("/a/node.yaml")


def test_the_announcement_is_what_commands_read() -> None:
    """A running node is not found from outside."""
    held = claim("/a/node.yaml")
    said = Instance("n", "/a/node.yaml", "digest", 7, 8)
    held.announce(said)
    found = read_instance(held.folder)
    assert found is not None
    assert (found.node, found.pid, found.folder) == ("n", 7, held.folder)
    assert len(held.link(63).removeprefix("ipc://")) <= 107
    held.close()
