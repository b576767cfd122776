"""The file that must not lie: every torn end is cut, every other damage is refused, nothing is ever silently wrong."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from host.live.supervisor.append_file import MAGIC, AppendFile, DamagedFile

RECORDS = [b"first", b"", b"x" * 300, b"last"]


def written(path: Path, records: list[bytes] = RECORDS) -> bytes:
    file = AppendFile(str(path))
    for record in records:
        file.append(record)
    file.close()
    return path.read_bytes()


def found(path: Path) -> list[bytes]:
    file = AppendFile(str(path))
    file.close()
    return file.records


def test_what_is_appended_is_found(tmp_path: Path) -> None:
    """A record is lost, doubled or out of order over two openings."""
    path = tmp_path / "list"
    written(path)
    written(path, [b"more"])
    assert found(path) == [*RECORDS, b"more"]


def test_every_cut_leaves_a_prefix(tmp_path: Path) -> None:
    """A power cut in the middle of a write keeps the file from being opened, or invents a record."""
    path = tmp_path / "list"
    content = written(path)
    for length in range(len(content)):
        path.write_bytes(content[:length])
        file = AppendFile(str(path))
        assert file.records == RECORDS[: len(file.records)]
        file.append(b"goes on")
        file.close()
        assert found(path)[-1] == b"goes on"


def test_every_flipped_bit_is_refused_or_cuts_the_end(tmp_path: Path) -> None:
    """A damaged record is read as if it were whole, or takes those behind it along."""
    path = tmp_path / "list"
    content = written(path)
    last_at = len(content) - len(RECORDS[-1]) - 12
    refused = 0
    for at in range(len(content)):
        for bit in (1, 128):
            path.write_bytes(content[:at] + bytes([content[at] ^ bit]) + content[at + 1 :])
            try:
                records = found(path)
            except DamagedFile:
                refused += 1
                assert path.read_bytes()[at] == content[at] ^ bit
            else:
                assert at >= last_at
                assert records == RECORDS[:-1]
    assert refused >= 2 * last_at


def test_a_tail_of_zeros_is_torn(tmp_path: Path) -> None:
    """A file system that grew the file before it wrote keeps a node from starting."""
    path = tmp_path / "list"
    path.write_bytes(written(path) + bytes(100))
    file = AppendFile(str(path))
    assert (file.records, file.torn_bytes) == (RECORDS, 100)
    file.close()


@pytest.mark.parametrize("size", [1, len(MAGIC), 600])
def test_a_file_of_zeros_is_torn_from_its_first_byte(tmp_path: Path, size: int) -> None:
    """A loss of power that leaves of a new file nothing but its length keeps the file from being opened."""
    path = tmp_path / "list"
    path.write_bytes(bytes(size))
    assert AppendFile(str(path)).torn_bytes == size
    assert found(path) == []
    written(path, [b"goes on"])
    assert found(path) == [b"goes on"]


def test_a_newer_version_is_refused(tmp_path: Path) -> None:
    """An older program reads what it does not understand, and overwrites it."""
    path = tmp_path / "list"
    path.write_bytes(MAGIC[:-1] + b"\x02" + written(tmp_path / "other")[len(MAGIC) :])
    with pytest.raises(DamagedFile, match="not a file of this version"):
        AppendFile(str(path))


def test_rewriting_leaves_the_new_records_and_can_be_appended_to(tmp_path: Path) -> None:
    """Compaction loses what comes after it, or leaves its temporary file."""
    path = tmp_path / "list"
    written(path)
    file = AppendFile(str(path))
    file.rewrite([b"one"])
    file.append(b"two")
    file.close()
    assert found(path) == [b"one", b"two"]
    assert os.listdir(tmp_path) == ["list"]


def test_a_kill_takes_nothing_that_was_appended(tmp_path: Path) -> None:
    """A record that was acknowledged dies with its writer."""
    path = tmp_path / "list"
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        file = AppendFile(str(path))
        count = 0
        while True:
            count += 1
            file.append(count.to_bytes(4, "little") * 50)
            os.write(writer, count.to_bytes(4, "little"))
    os.close(writer)
    acknowledged = b""
    while len(acknowledged) < 4_000:
        acknowledged += os.read(reader, 4_096)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    while more := os.read(reader, 4_096):
        acknowledged += more
    os.close(reader)
    count = len(acknowledged) // 4
    assert [int.from_bytes(record[:4], "little") for record in found(path)[:count]] == list(range(1, count + 1))


@given(st.lists(st.binary(max_size=50), max_size=10))
def test_any_records(records: list[bytes]) -> None:
    """Some content of a record breaks the file."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "list"
        written(path, records)
        assert found(path) == records
