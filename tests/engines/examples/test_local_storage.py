"""The local stores: drivers and twins give the same answers, and what was answered is on the disk."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from blake3 import blake3
from device_desk import driven, twinned
from hypothesis import given
from hypothesis import strategies as st

from engines.devices import folders
from engines.devices.file_store import (
    FILE_BYTES_MAX,
    FILE_STORE,
    Damage,
    DeleteFiles,
    FileContent,
    FileDamaged,
    FileExists,
    FileFolder,
    FileMissing,
    FileRefused,
    FilesDeleted,
    FileStored,
    FilesVerified,
    GetFile,
    PutFile,
    VerifyFiles,
    together,
)
from engines.devices.key_value import (
    KEY_VALUE,
    SCAN_BYTES_MAX,
    VALUE_BYTES_MAX,
    Change,
    ChangeValues,
    DeleteValue,
    Entry,
    GetValue,
    KeyValueFile,
    ScanValues,
    SetValue,
    ValueChanged,
    ValueRead,
    ValueRefused,
    ValuesChanged,
    ValuesScanned,
)
from engines.devices.time_series import (
    POINTS_MAX,
    TIME_NS_MAX,
    TIME_SERIES,
    DeletePoints,
    GetPoints,
    Point,
    PointsChanged,
    PointsRead,
    PointsRefused,
    RecordPoints,
    TimeSeriesFile,
)
from engines.model import Blob, Ref

ANN: Ref[Any] = Ref("ann")
NOW_NS = 1_000
Answers = Callable[..., list[Any]]
BACKENDS: list[Any] = [("sqlite", driven), ("lmdb", driven), ("sqlite", twinned)]


@pytest.fixture(params=BACKENDS, ids=["sqlite", "lmdb", "twin"])
def table(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[..., list[Any]]:
    """Gives the answers of a key-value store to some orders; each call of a driver opens its table again."""
    backend, answers = request.param
    if backend == "lmdb":
        pytest.importorskip("lmdb")
    config = KeyValueFile(str(tmp_path / "folder" / "table"), backend, 64 << 20)
    return lambda *orders: answers(KEY_VALUE, config, *orders)


def test_a_value_is_what_was_set_last(table: Answers) -> None:
    """False if an order does not see the changes before it, or a missing value looks like an empty one."""
    orders = [
        GetValue(b"k", ANN),
        SetValue(b"k", b"", ANN, 1),
        GetValue(b"k", ANN, 2),
        SetValue(b"k", b"v", ANN),
        GetValue(b"k", ANN),
        DeleteValue(b"k", ANN),
        DeleteValue(b"k", ANN),
        GetValue(b"k", ANN),
    ]
    assert table(*orders) == [
        ValueRead(b"k", None, 0),
        ValueChanged(b"k", b"", NOW_NS, 1),
        ValueRead(b"k", b"", 2),
        ValueChanged(b"k", b"v", NOW_NS, 0),
        ValueRead(b"k", b"v", 0),
        ValueChanged(b"k", None, NOW_NS, 0),
        ValueChanged(b"k", None, NOW_NS, 0),
        ValueRead(b"k", None, 0),
    ]


def test_a_batch_makes_its_changes_in_order(table: Answers) -> None:
    """False if a batch is reordered or loses a change."""
    changes = (Change(b"a", b"1"), Change(b"a", b"2"), Change(b"b", b"3"), Change(b"b", None))
    assert table(ChangeValues(changes, ANN, 9), GetValue(b"a", ANN), GetValue(b"b", ANN)) == [
        ValuesChanged(4, NOW_NS, 9),
        ValueRead(b"a", b"2", 0),
        ValueRead(b"b", None, 0),
    ]


def test_a_scan_is_in_order_bounded_and_can_go_on(table: Answers) -> None:
    """False if a scan leaves its prefix, skips an entry between two answers, or answers without a bound."""
    keys = [b"a", b"k\0", b"k1", b"k2", b"k3", b"k\xff\xff", b"l"]
    changes = tuple(Change(key, key) for key in keys)
    _, first, second, rest, every = table(
        ChangeValues(changes, ANN),
        ScanValues(b"k", ANN, count=2),
        ScanValues(b"k", ANN, first=b"k2", count=2),
        ScanValues(b"k", ANN, first=b"k\xff"),
        ScanValues(b"", ANN),
    )
    assert first == ValuesScanned((Entry(b"k\0", b"k\0"), Entry(b"k1", b"k1")), b"k2", 0)
    assert second == ValuesScanned((Entry(b"k2", b"k2"), Entry(b"k3", b"k3")), b"k\xff\xff", 0)
    assert rest == ValuesScanned((Entry(b"k\xff\xff", b"k\xff\xff"),), b"", 0)
    assert [entry.key for entry in every.entries] == keys


def test_large_values_are_scanned_in_several_answers(table: Answers) -> None:
    """False if one answer may grow with the values."""
    sets = [SetValue(bytes([n]), bytes(VALUE_BYTES_MAX), ANN) for n in range(1, 7)]
    scanned = table(*sets, ScanValues(b"", ANN))[-1]
    assert sum(len(entry.value) for entry in scanned.entries) <= SCAN_BYTES_MAX
    assert scanned.following == bytes([len(scanned.entries) + 1])


@pytest.mark.parametrize("backend", ["sqlite", "lmdb"])
def test_what_was_answered_is_in_the_table_of_the_next_start(backend: Any, tmp_path: Path) -> None:
    """False if a change is answered before it is committed."""
    pytest.importorskip(backend.replace("sqlite", "sqlite3"))
    config = KeyValueFile(str(tmp_path / "table"), backend, 64 << 20)
    driven(KEY_VALUE, config, *(SetValue(b"%d" % n, b"v", ANN) for n in range(100)))
    assert driven(KEY_VALUE, config, GetValue(b"0", ANN), GetValue(b"99", ANN)) == [
        ValueRead(b"0", b"v", 0),
        ValueRead(b"99", b"v", 0),
    ]


@pytest.mark.parametrize("backend", ["sqlite", "lmdb"])
def test_a_full_table_refuses_and_goes_on(backend: Any, tmp_path: Path) -> None:
    """False if a full disk ends the device, or takes the orders beside the one that did not fit with it."""
    pytest.importorskip(backend.replace("sqlite", "sqlite3"))
    config = KeyValueFile(str(tmp_path / "table"), backend, 1 << 20)
    small, large = SetValue(b"s", b"v", ANN), SetValue(b"l", bytes(VALUE_BYTES_MAX), ANN)
    before, refused, after, read = driven(KEY_VALUE, config, small, large, small, GetValue(b"l", ANN))
    assert isinstance(refused, ValueRefused)
    assert isinstance(before, ValueChanged)
    assert isinstance(after, ValueChanged)
    assert read.value is None


@pytest.fixture(params=[driven, twinned], ids=["driver", "twin"])
def files(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[..., list[Any]]:
    """Gives the answers of a file store to some orders."""
    config = FileFolder(str(tmp_path / "files"), 10_000)
    return lambda *orders: request.param(FILE_STORE, config, *orders)


def name(content: bytes) -> bytes:
    return blake3(content).digest()


def test_content_is_kept_once_and_read_back(files: Answers) -> None:
    """False if an order does not see the ones before it, or content has another name than its hash."""
    orders = [
        GetFile(name(b"one"), ANN),
        PutFile(Blob(b"one"), ANN, 1),
        PutFile(Blob(b"one"), ANN, 2),
        PutFile(Blob(b""), ANN),
        GetFile(name(b"one"), ANN, 3),
        VerifyFiles(ANN, count=1),
        DeleteFiles((name(b"one"), name(b"none")), ANN, 4),
        GetFile(name(b"one"), ANN),
        PutFile(Blob(b"one"), ANN),
    ]
    first, second = sorted([name(b"one"), name(b"")])
    sizes = {name(b"one"): 3, name(b""): 0}
    assert files(*orders) == [
        FileMissing(name(b"one"), 0),
        FileStored(name(b"one"), 1),
        FileExists(name(b"one"), 2),
        FileStored(name(b""), 0),
        FileContent(name(b"one"), Blob(b"one"), 3),
        FilesVerified(1, sizes[first], (), second, 0),
        FilesDeleted(1, 3, 4),
        FileMissing(name(b"one"), 0),
        FileStored(name(b"one"), 0),
    ]


def test_a_store_has_a_size_and_a_file_too(files: Answers) -> None:
    """False if content without end fills the disk, or what is deleted is still counted."""
    large, most = PutFile(Blob(bytes(FILE_BYTES_MAX + 1)), ANN), PutFile(Blob(bytes(9_000)), ANN)
    answers = files(large, most, PutFile(Blob(b"1" * 2_000), ANN), DeleteFiles((name(bytes(9_000)),), ANN), most)
    kinds = [FileRefused, FileStored, FileRefused, FilesDeleted, FileStored]
    assert [type(answer) for answer in answers] == kinds


def test_a_flipped_bit_is_named_not_sent_and_mended_by_a_put(tmp_path: Path) -> None:
    """False if damaged content is sent, or chunk and file are not named."""
    config, content = FileFolder(str(tmp_path / "files")), os.urandom(5_000)
    driven(FILE_STORE, config, PutFile(Blob(content), ANN), PutFile(Blob(b"other"), ANN))
    [path] = (tmp_path / "files").glob(f"*/{name(content).hex()}")
    flipped = bytearray(content)
    flipped[1234] ^= 0x10
    path.write_bytes(flipped)
    damaged, verified, put, again = driven(
        FILE_STORE, config, GetFile(name(content), ANN), VerifyFiles(ANN), PutFile(Blob(content), ANN), VerifyFiles(ANN)
    )
    detail = f"5000 bytes with the hash {name(bytes(flipped)).hex()}"
    assert damaged == FileDamaged(name(content), str(path), detail, 0)
    assert verified == FilesVerified(2, 5, (Damage(name(content), str(path), detail),), b"", 0)
    assert put == FileStored(name(content), 0)
    assert again == FilesVerified(2, 5_005, (), b"", 0)


def test_what_a_killed_writer_left_is_removed(tmp_path: Path) -> None:
    """False if unfinished files stay for ever, or are taken for content."""
    config = FileFolder(str(tmp_path))
    driven(FILE_STORE, config, PutFile(Blob(b"one"), ANN))
    unfinished = tmp_path / "incoming" / "7"
    unfinished.write_bytes(b"half")
    assert driven(FILE_STORE, config, VerifyFiles(ANN)) == [FilesVerified(1, 3, (), b"", 0)]
    assert not unfinished.exists()


def test_two_processes_never_have_one_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """False if two nodes by mistake write, delete and clean up in one folder."""
    monkeypatch.setattr(folders, "LOCK_WAIT_S", 0)
    first = folders.Folder(str(tmp_path), 1_000)
    with pytest.raises(folders.FolderInUse):
        folders.Folder(str(tmp_path), 1_000)
    first.close()
    folders.Folder(str(tmp_path), 1_000).close()


def test_a_folder_that_cannot_be_made_is_a_crash(tmp_path: Path) -> None:
    """False if content vanishes in silence."""
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError):
        driven(FILE_STORE, FileFolder(str(tmp_path / "file" / "folder")), PutFile(Blob(b"lost"), ANN))


@given(st.lists(st.none() | st.sampled_from([b"a", b"b", b"c"])))
def test_orders_about_one_content_are_never_together(subjects: list[bytes | None]) -> None:
    """False if a get may overtake the put before it."""
    ranges = list(together(subjects))
    assert list(itertools.chain(*(range(*each) for each in ranges))) == list(range(len(subjects)))
    for begin, end in ranges:
        part = subjects[begin:end]
        assert len(set(part)) == len(part)
        assert None not in part or len(part) == 1


@pytest.fixture(params=[driven, twinned], ids=["driver", "twin"])
def series(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[..., list[Any]]:
    """Gives the answers of time series to some orders."""
    config = TimeSeriesFile(str(tmp_path / "series"))
    return lambda *orders: request.param(TIME_SERIES, config, *orders)


def test_points_come_back_by_range_in_order_of_time(series: Answers) -> None:
    """False if a range has a point too many or too few, mixes series, or loses the order."""
    points = tuple(Point(time_ns, time_ns / 2) for time_ns in (300, 1, 2, 70_000, TIME_NS_MAX))
    answers = series(
        RecordPoints("a", points, ANN, 1),
        RecordPoints("ab", (Point(2, -1.0),), ANN),
        RecordPoints("a", (Point(2, float("inf")),), ANN),
        GetPoints("a", 2, 70_000, ANN),
        GetPoints("a", 0, TIME_NS_MAX, ANN, count=2),
        GetPoints("ab", 0, TIME_NS_MAX, ANN),
        GetPoints("b", 0, TIME_NS_MAX, ANN),
    )
    assert answers[0] == PointsChanged("a", 5, NOW_NS, None, 1)
    assert answers[3:] == [
        PointsRead("a", (Point(2, float("inf")), Point(300, 150.0)), None, 0),
        PointsRead("a", (Point(1, 0.5), Point(2, float("inf"))), 300, 0),
        PointsRead("ab", (Point(2, -1.0),), None, 0),
        PointsRead("b", (), None, 0),
    ]


def test_long_ranges_are_answered_and_deleted_in_parts(series: Answers) -> None:
    """False if one order may take without bound, or goes on at the wrong point."""
    records = [RecordPoints("a", tuple(Point(n * 1_000 + m, 0.0) for m in range(1_000)), ANN) for n in range(2)]
    [_, _, read, gone, rest, none] = series(
        *records,
        GetPoints("a", 0, TIME_NS_MAX, ANN),
        DeletePoints("a", 500, 1_900, ANN),
        DeletePoints("a", 1_500, 1_900, ANN),
        GetPoints("a", 500, 1_900, ANN),
    )
    assert (len(read.points), read.following_ns) == (POINTS_MAX, 1_000)
    assert (gone.count, gone.following_ns) == (POINTS_MAX, 1_500)
    assert (rest.count, rest.following_ns) == (400, None)
    assert none == PointsRead("a", (), None, 0)


def test_a_full_file_of_series_refuses(tmp_path: Path) -> None:
    """False if a full disk ends the device."""
    config = TimeSeriesFile(str(tmp_path / "series"), 1 << 20)
    orders = [RecordPoints("a" * 60, tuple(Point(n * 1_000 + m, 0.0) for m in range(1_000)), ANN) for n in range(30)]
    answers = driven(TIME_SERIES, config, *orders)
    assert {type(answer) for answer in answers} == {PointsChanged, PointsRefused}
