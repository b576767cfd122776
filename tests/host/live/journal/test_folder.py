"""One conformance list for the real folder and the simulated one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from simulated_disk import SimulatedFolder

from host.live.journal.folder import Folder, replace_file

Make = Callable[[], Folder]


@pytest.fixture(params=["disk", "simulated"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Folder:
    return Folder(str(tmp_path / "a" / "b"), make=True) if request.param == "disk" else SimulatedFolder()


def write(folder: Folder, name: str, data: bytes) -> None:
    file = folder.create(name)
    assert file.append(data) == len(data)
    file.sync()
    file.close()
    file.close()


def test_a_file_grows_at_its_end(folder: Folder) -> None:
    write(folder, "a", b"one")
    file = folder.open("a")
    assert file.append(b"two") == 3
    assert bytes(folder.read("a")) == b"onetwo"


def test_a_view_stays_as_it_was(folder: Folder) -> None:
    write(folder, "a", b"one")
    view = folder.read("a")
    folder.open("a").append(b"two")
    folder.rename("a", "b")
    assert bytes(view) == b"one"


def test_a_head_comes_with_the_length(folder: Folder) -> None:
    write(folder, "a", b"onetwo")
    assert [(bytes(data), size) for data, size in (folder.head("a", 3), folder.head("a", 9))] == [
        (b"one", 6),
        (b"onetwo", 6),
    ]


def test_an_empty_file_reads_as_nothing(folder: Folder) -> None:
    folder.create("a").close()
    assert bytes(folder.read("a")) == b""


def test_a_name_is_made_once(folder: Folder) -> None:
    write(folder, "a", b"")
    with pytest.raises(FileExistsError):
        folder.create("a")


def test_rename_replaces_and_remove_removes(folder: Folder) -> None:
    write(folder, "b", b"old")
    write(folder, "a", b"new")
    folder.rename("a", "b")
    folder.sync()
    assert folder.names() == ["b"]
    assert bytes(folder.read("b")) == b"new"
    folder.remove("b")
    assert folder.names() == []


def test_what_is_not_there_is_an_error(folder: Folder) -> None:
    for act in (folder.read, folder.open, folder.remove):
        with pytest.raises(FileNotFoundError):
            act("a")
    with pytest.raises(FileNotFoundError):
        folder.rename("a", "b")


def test_a_file_that_cannot_be_replaced_leaves_nothing(tmp_path: Path) -> None:
    """False if what a failed replacement wrote kept the room that a full disk needs."""
    (tmp_path / "there").mkdir()
    with pytest.raises(IsADirectoryError):
        replace_file(str(tmp_path / "there"), b"text")
    assert [path.name for path in tmp_path.iterdir()] == ["there"]
