from __future__ import annotations

from pathlib import Path

import pytest

from host.live.supervisor import quarantine
from host.live.supervisor.memory_kills import MemoryKills
from host.live.supervisor.quarantine import Held, Quarantine
from host.node.news import SetAside, Trigger

ONE = Trigger("a", "b", 0, 1, 7)
TWO = Trigger("a", "b", 0, 1, 8)


def hold(book: Quarantine, trigger: Trigger = ONE, policy: str = "skip") -> Held:
    found = SetAside(trigger, 5, "state", "code", "Traceback\nValueError: no")
    held = book.hold(found, policy, b"\x91\xa3Add")  # type: ignore[arg-type]
    assert held is not None
    return held


def test_counts_and_entries_outlive_the_supervisor(tmp_path: Path) -> None:
    """A kill -9 of the supervisor gives poison a new life."""
    path = str(tmp_path / "quarantine.log")
    book = Quarantine(path)
    book.count(ONE, "signal -11")
    number = hold(book, TWO).id
    # not closed: the process is gone
    book = Quarantine(path)
    assert book.failures(ONE) == ("signal -11",)
    assert [held.id for held in book.entries()] == [number]
    book.release(number, "discarded")
    book = Quarantine(path)
    assert book.entries() == []
    assert hold(book, TWO).id > number


def test_the_same_trigger_is_held_once(tmp_path: Path) -> None:
    """A worker killed just after it said so makes a second entry, and a replay of both counts twice."""
    book = Quarantine(str(tmp_path / "q"))
    assert hold(book).id == hold(book).id
    assert len(book.entries()) == 1
    timers = Trigger("a", "", 0, 0, 0)
    assert hold(book, timers).id != hold(book, timers).id


def test_an_engine_is_parked_while_an_entry_of_its_says_so(tmp_path: Path) -> None:
    """An engine goes on although it was to wait, or waits for ever."""
    book = Quarantine(str(tmp_path / "q"))
    first, second = hold(book, ONE, "park"), hold(book, TWO, "park")
    assert book.parked() == {"a"}
    book.release(first.id, "replayed")
    assert book.parked() == {"a"}
    book.release(second.id, "discarded")
    assert book.parked() == frozenset()
    with pytest.raises(KeyError):
        book.release(second.id, "discarded")


def test_a_full_quarantine_refuses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A flood of poison fills memory and disk."""
    monkeypatch.setattr(quarantine, "HELD_MAX", 1)
    book = Quarantine(str(tmp_path / "q"))
    hold(book)
    assert book.hold(SetAside(TWO, 5, "", "", ""), "skip", None) is None


def test_the_past_is_dropped_at_an_opening(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file of a node that lives for years grows without end."""
    path = tmp_path / "q"
    book = Quarantine(str(path))
    book.count(ONE, "hung -9")
    for n in range(100):
        book.release(hold(book, Trigger("a", "b", 0, 1, 100 + n)).id, "discarded")
    kept = hold(book, TWO).id
    book.close()
    before = path.stat().st_size
    monkeypatch.setattr(quarantine, "FILE_BYTES_MAX", 1_000)
    Quarantine(str(path)).close()
    assert path.stat().st_size < before // 10
    book = Quarantine(str(path))
    assert ([held.id for held in book.entries()], book.failures(ONE)) == ([kept], ("hung -9",))


def test_a_counter_of_the_kernel_that_rose_is_evidence_once(tmp_path: Path) -> None:
    """A kill for memory of an hour ago explains every later death, or none is ever explained."""
    near, far = tmp_path / "events", tmp_path / "vmstat"
    near.write_text("low 0\noom 3\noom_kill 2\n")
    far.write_text("pgfault 9\noom_kill 5\noom_kill_other 1\n")
    kills = MemoryKills({"cgroup": str(near), "machine": str(far), "other": str(tmp_path / "none")})
    assert kills.risen() == ""
    near.write_text("low 0\noom 3\noom_kill 3\n")
    far.write_text("pgfault 9\noom_kill 6\n")
    assert kills.risen() == "oom_kill of the cgroup rose by 1"
    assert kills.risen() == ""
    far.write_text("oom_kill 8\n")
    assert kills.risen() == "oom_kill of the machine rose by 2"


def test_this_machine_has_a_counter() -> None:
    """The file that is looked at is not there, or not what it was."""
    assert MemoryKills().risen() == ""
