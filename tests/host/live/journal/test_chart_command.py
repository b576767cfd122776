"""`enginehost chart` on logs that a worker of the tests wrote: what is drawn, how much, and what is said instead."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from journal_engines import Bear, Decide, End, Fail, Gamble, Later, Odd, Pay
from journal_worker import BOOT, ROOT, START_NS, Worker, load, log_state_of

from engines.model import Ref
from host.cli.main import run
from host.cli.moments import Bound, parse_bound
from host.live.journal import data_folder
from host.live.journal.recovery import recover
from host.live.journal.snapshots import Snapshots

SHOP: Ref[object] = Ref("shop")


def draw(capsys: pytest.CaptureFixture[str], *argv: str) -> list[str]:
    """Lines of a chart by name (it is asked for in a narrow form), without times."""
    chart = ask(capsys, *argv)
    return [shown(event) for event in chart["events"]]


def shown(event: dict[str, Any]) -> str:
    if event["type"] == "mark":
        return f"{', '.join(event['engines'])}: {event['label']}"
    detail = f" ({event['detail']})" if event["detail"] else ""
    return f"{event['source']} {event['fate']} {event['target']}: {event['label']}{detail}"


def ask(capsys: pytest.CaptureFixture[str], *argv: str) -> dict[str, Any]:
    assert run(["chart", *argv, "--json"]) == 0, capsys.readouterr().err
    (item,) = json.loads(capsys.readouterr().out)["items"]
    return dict(item)


def refused(capsys: pytest.CaptureFixture[str], code: int, *argv: str) -> str:
    """The error of a chart: one line."""
    assert run(["chart", *argv]) == code
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    return said.err


class Bank:
    """A data folder with a log of one engine."""

    def __init__(self, data: str, name: str = "bank") -> None:
        self.data = data
        self.name = name
        data_folder.pin(data, "node", (ROOT,), 7)
        self.folder = data_folder.log_folder(data, name, make=True)
        self.worker = Worker(self.folder, "durable")
        self.worker.bear(name)

    def do(self, *messages: Any, sender: str = "alice") -> None:
        self.worker.clock.now_ns += 1_000_000
        self.worker.mail(sender, self.name, list(messages))
        self.worker.commit()

    def snapshot(self) -> None:
        state = log_state_of(recover(self.folder, "node", load, BOOT).replay)
        assert Snapshots(self.folder, self.worker.journal, self.worker.clock).take(state).reason == ""


@pytest.fixture
def bank(tmp_path: Path) -> Bank:
    return Bank(str(tmp_path / "data"))


def pays(amounts: Sequence[int]) -> list[Any]:
    return [Pay(amount, SHOP) for amount in amounts]


def test_every_outcome_is_drawn(bank: Bank, capsys: pytest.CaptureFixture[str]) -> None:
    """False if what became of a message were drawn otherwise than it was, or the text of a failure or a note were
    missing, which are in no record.
    """
    bank.do(*pays([5]), Gamble(), Odd(1), Fail("no\nway"), Later(10), Bear("x"))
    bank.worker.clock.now_ns += 10
    assert bank.worker.fire("bank")
    bank.do(Decide())
    bank.worker.answer("bank", "yes")
    bank.do(End())
    assert draw(capsys, bank.data) == [
        "bank: begins: journal_engines:ACCOUNT",
        "alice taken bank: Pay(amount=5, receipt=shop)",
        "bank sent shop: Paid(amount=5, balance=5)",
        "alice taken bank: Gamble",
        "bank: rolled 3",
        "alice stored bank: Odd(number=1)",
        "alice failed bank: Fail(text=no\\nway) (ValueError: no\\nway)",
        "alice taken bank: Later(after_ns=10)",
        "bank: timer alarm set: 10 ns",
        "alice taken bank: Bear(word=x)",
        "bank spawn bank/x: spawn journal_engines:COUNTER",
        "bank: timer alarm elapsed",
        "alice asked bank: Decide",
        "bank: asks: yes | no",
        "bank: answer: yes",
        "bank: note: decided way=yes",
        "alice taken bank: End",
        "bank: ends",
    ]


def test_parts_by_turn_and_by_time(bank: Bank, capsys: pytest.CaptureFixture[str]) -> None:
    """False if a bound left out a turn at it, took one beyond it, or read turns again from a wrong snapshot."""
    for amount in range(1, 10):
        bank.do(*pays([amount]))
        if amount in (3, 6):
            bank.snapshot()
    of_bank = ("--engine", "bank")
    for first in range(1, 10):
        for last in range(first, 10):
            drawn = draw(capsys, bank.data, *of_bank, "--from", str(first), "--to", str(last))
            taken = [line for line in drawn if "taken" in line]
            assert taken == [f"alice taken bank: Pay(amount={n}, receipt=shop)" for n in range(first, last + 1)]
            assert drawn[1] == f"bank sent shop: Paid(amount={first}, balance={first * (first + 1) // 2})"
    from datetime import datetime

    def at(turn: int) -> str:
        time_ns = START_NS + turn * 1_000_000
        return datetime.fromtimestamp(time_ns // 10**9).isoformat() + f".{time_ns % 10**9 // 10**6:03}"

    assert len(draw(capsys, bank.data, "--from", at(4), "--to", at(8))) == 10
    assert len(draw(capsys, bank.data, "--to", at(2))) == 5
    late = ask(capsys, bank.data, "--from", "2100-01-01T00:00")
    assert (late["events"], late["notes"]) == ([], ["no events there"])


def test_a_limit_keeps_the_newest_or_the_first_and_says_so(bank: Bank, capsys: pytest.CaptureFixture[str]) -> None:
    """False if a long journal were drawn whole, another part of it than asked for, or without a word about the rest;
    or if the newest events lacked some because the last snapshot has few behind it.
    """
    for amount in range(1, 10):
        bank.do(*pays([amount]))
        if amount in (3, 6, 8):
            bank.snapshot()
    for limit in range(1, 18):
        chart = ask(capsys, bank.data, "--limit", str(limit))
        labels = [event["label"].split("(")[1].split(",")[0] for event in chart["events"]]
        assert labels == [f"amount={n}" for n in range(1, 10) for _ in "ab"][-limit:]
        assert chart["notes"] == [f"only the newest {limit} events are drawn; earlier ones: --limit N, --from and --to"]
    whole = ask(capsys, bank.data, "--limit", "19")
    assert (len(whole["events"]), whole["notes"]) == (19, [])
    first = ask(capsys, bank.data, "--engine", "bank", "--from", "2", "--limit", "3")
    assert [shown(event)[:11] for event in first["events"]] == ["alice taken", "bank sent s", "alice taken"]
    assert first["notes"] == ["only the first 3 events are drawn; later ones: --limit N, --from and --to"]


def test_history_that_is_gone(bank: Bank, capsys: pytest.CaptureFixture[str]) -> None:
    """False if a chart of a log whose oldest part was removed looked like that of the whole run."""
    bank.do(*pays([1, 2]))
    bank.snapshot()
    bank.do(*pays([3]))
    for segment in Path(bank.data, "journal", "bank").glob("*.arc"):
        segment.unlink()
    first = min(Path(bank.data, "journal", "bank").glob("*.log"))
    first.unlink()
    chart = ask(capsys, bank.data)
    assert [shown(event) for event in chart["events"]] == [
        "alice taken bank: Pay(amount=3, receipt=shop)",
        "bank sent shop: Paid(amount=3, balance=6)",
    ]
    assert "bank: history is kept from" in chart["notes"][0]


def test_logs_are_joined(bank: Bank, capsys: pytest.CaptureFixture[str]) -> None:
    """False if a message between two logs were drawn as two, or one that nobody took yet as lost."""
    shop = Bank(bank.data, "shop")
    bank.do(*pays([5, 7]))
    payload = [released[3] for released in bank.worker.released]
    assert len(payload) == 2
    shop.worker.clock.now_ns = START_NS
    shop.do(Odd(1), sender="bank")
    drawn = draw(capsys, bank.data)
    assert "bank stored shop: Odd(number=1)" in drawn
    assert [line for line in drawn if "Paid" in line] == ["bank lost shop: Paid(amount=7, balance=12)"]
    only = ask(capsys, bank.data, "--engine", "shop")
    assert {one["name"]: one["is_outside"] for one in only["participants"]} == {"bank": True, "shop": False}


def test_without_the_family_the_records_are_drawn(
    bank: Bank, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """False if a journal from elsewhere, or of code that was changed, had no chart, or a chart that hides the fact."""
    bank.do(*pays([5]), Gamble(), Fail("x"))
    bank.do(Decide())
    bank.worker.answer("bank", "yes")
    bank.worker.commit()
    expected = [
        "bank: begins: journal_engines:ACCOUNT",
        "alice taken bank: Pay(5, shop)",
        "alice taken bank: Gamble",
        "bank: rolled 3",
        "alice failed bank: Fail(x)",
        "alice asked bank: Decide",
        "bank: asks",
        "bank: answer: yes",
    ]
    record = Path(bank.data, "journal", "node.json")
    original = record.read_text()
    record.write_text(original.replace(ROOT, str(tmp_path)))
    chart = json.loads(apart("chart", bank.data, "--json"))["items"][0]
    assert [shown(event) for event in chart["events"]] == expected
    assert "bank: bank from turn 1 on is drawn from records alone" in chart["notes"][0]
    assert "journal_engines" in chart["notes"][0]

    root = tmp_path / "other"
    root.mkdir()
    source = Path(ROOT, "journal_engines.py").read_text()
    (root / "journal_engines.py").write_text(source.replace("Paid(m.amount, balance)", "Paid(m.amount, balance + 1)"))
    record.write_text(original.replace(ROOT, str(root)))
    ran = json.loads(apart("chart", bank.data, "--json"))["items"][0]
    assert [shown(event) for event in ran["events"]][2:] == expected[2:]
    assert "recorded committed" in ran["notes"][0]


def apart(*argv: str) -> str:
    """What a command prints in a process that has not imported the engines of these tests."""
    import subprocess
    import sys

    from deadline import DEADLINE_S

    command = [sys.executable, "-m", "host", *argv]
    return subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE_S, check=True).stdout


def test_after_other_code_a_snapshot_makes_it_whole_again(
    bank: Bank, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """False if one turn that the present code cannot repeat took the names of fields from all turns after it."""
    bank.do(Fail("x"), *pays([5]))
    bank.snapshot()
    bank.do(*pays([7]))
    root = tmp_path / "other"
    root.mkdir()
    source = Path(ROOT, "journal_engines.py").read_text()
    (root / "journal_engines.py").write_text(source.replace("raise ValueError(m.text)", "return []"))
    record = Path(bank.data, "journal", "node.json")
    record.write_text(record.read_text().replace(ROOT, str(root)))
    chart = json.loads(apart("chart", bank.data, "--json"))["items"][0]
    assert [shown(event) for event in chart["events"]][1:] == [
        "alice failed bank: Fail(text=x)",
        "alice taken bank: Pay(5, shop)",
        "alice taken bank: Pay(amount=7, receipt=shop)",
        "bank sent shop: Paid(amount=7, balance=12)",
    ]
    put_away, missing = chart["notes"]
    assert "drawn from records alone" in put_away
    assert "is not kept here: with its sources below the roots" in missing


def test_what_cannot_be_drawn_is_said_in_a_line(bank: Bank, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """False if a wrong name, path, bound or a damaged log ended in a traceback, or in a chart."""
    bank.do(*pays([5]))
    assert "has nothing of bnak; its engines: bank" in refused(capsys, 4, bank.data, "--engine", "bnak")
    assert "name the data folder of a node" in refused(capsys, 4, str(tmp_path / "none"))
    assert "name it with --engine" in refused(capsys, 2, bank.data, "--from", "3")
    assert "name it with --engine" in refused(capsys, 2, bank.data, "--to", "3", "--engine", "a", "--engine", "b")
    assert "neither the number of a turn nor a time" in refused(capsys, 2, bank.data, "--from", "yesterday")
    assert run(["chart", bank.data, "--json", "--mermaid"]) == 2
    assert "leave --mermaid out" in capsys.readouterr().err
    bank.snapshot()
    bank.do(*pays([7]))
    bank.do(*pays([9]))
    segment = max(Path(bank.data, "journal", "bank").glob("*.log"))
    content = bytearray(segment.read_bytes())
    segment.write_bytes(content[:-20])
    torn = ask(capsys, bank.data)
    assert [event["label"] for event in torn["events"]][-1] == "Paid(amount=7, balance=12)"
    assert f"bank: the end of its log cannot be read, and is left out: {segment.name} at offset" in torn["notes"][0]
    content[160] ^= 1
    segment.write_bytes(content)
    said = refused(capsys, 10, bank.data)
    assert segment.name in said
    assert "journal verify" in said
    shutil.rmtree(segment.parent)
    assert draw(capsys, bank.data) == []


def test_bounds() -> None:
    """False if a time were read as another one, or the end of what it names were left out."""
    assert parse_bound("7", last=False) == Bound(7, None)
    begin, end = (parse_bound("2026-01-31T12:30:05.250", last=last).time_ns for last in (False, True))
    assert begin is not None
    assert end is not None
    assert (begin % 10**9, end - begin) == (250_000_000, 999_999)
    assert parse_bound("2026-01-31 12:30:05", last=True).time_ns == begin // 10**9 * 10**9 + 999_999_999
    assert parse_bound("2026-01-31 12:30", last=False).time_ns == begin // 10**9 * 10**9 - 5 * 10**9
    odd = ("\u0663", "9" * 30, "99:99:99.1", "1:2:3:4", "2026-02-30T10:00", "25:00", "12:60")
    for wrong in ("0", "-1", "", "now", *odd):
        with pytest.raises(ValueError, match=r"turn|time"):
            parse_bound(wrong, last=False)


@pytest.mark.storm
def test_a_part_is_what_the_whole_has_there(bank: Bank, capsys: pytest.CaptureFixture[str]) -> None:
    """False if turns that are only run again, and not drawn, changed what is drawn after them: an answer was kept for a
    later turn, an engine that ended lived on, or mail taken long ago still waited.
    """
    shop = Bank(bank.data, "shop")
    for amount in range(1, 6):
        bank.do(Pay(amount, Ref("mart")), Gamble(), Later(5), Decide())
        bank.worker.answer("bank", "no")
        bank.worker.commit()
        bank.worker.clock.now_ns += 10
        bank.worker.fire("bank")
        bank.worker.commit()
        shop.worker.clock.now_ns = bank.worker.clock.now_ns
        shop.do(Odd(amount), Fail("x"))
    shop.do(End())
    shop.worker = Worker(shop.folder, "durable")
    whole = ask(capsys, bank.data)["events"]
    assert len(whole) == 69
    for limit in range(1, len(whole)):
        assert ask(capsys, bank.data, "--limit", str(limit))["events"] == whole[-limit:]
