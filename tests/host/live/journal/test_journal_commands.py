"""The commands that work on the files of a journal, on a data folder nobody runs on."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from deadline import DEADLINE_S
from journal_engines import Decide, Gamble, Later, Pay
from journal_worker import BOOT, ROOT, Worker, load, log_state_of

from engines.model import Ref
from host.cli.main import run
from host.live.journal import data_folder, operations
from host.live.journal.folder import Folder
from host.live.journal.recovery import LOST, recover
from host.live.journal.snapshots import Snapshots
from host.live.supervisor.runtime_dir import lock_data

PAID: Ref[object] = Ref("shop")


@pytest.fixture
def data(tmp_path: Path) -> str:
    """A data folder with a log of one engine: a snapshot, ten turns behind it, a choice that was answered."""
    data = str(tmp_path / "data")
    data_folder.pin(data, "node", (ROOT,), 7)
    folder = data_folder.log_folder(data, "bank", make=True)
    worker = Worker(folder)
    worker.bear("bank")
    worker.mail("alice", "bank", [Pay(5, PAID), Gamble(), Later(10)])
    worker.commit()
    snapshots = Snapshots(folder, worker.journal, worker.clock)
    assert snapshots.take(log_state_of(recover(folder, "node", load, BOOT).replay)).reason == ""
    worker.clock.now_ns += 100
    worker.fire("bank")
    worker.mail("bob", "bank", [Pay(n, PAID) for n in range(1, 5)] + [Decide()])
    worker.commit()
    worker.answer("bank", "yes")
    worker.commit()
    worker.journal.close()
    return data


def ask(capsys: pytest.CaptureFixture[str], *argv: str, code: int = 0) -> list[dict[str, Any]]:
    """The items of a command with --json; its exit code is asserted."""
    assert run([*argv, "--json"]) == code, capsys.readouterr().err
    return [item for line in capsys.readouterr().out.splitlines() for item in json.loads(line)["items"]]


def test_replay_shows_the_state_at_any_turn(data: str, capsys: pytest.CaptureFixture[str]) -> None:
    """False if a state shown were not that after the turn asked for."""
    items = ask(capsys, "replay", data, "--verify")
    assert [(item["engine"], item["turn"]) for item in items] == [("bank", 9)]
    assert items[0]["state"] == {"balance": 15, "fired": 1, "rolled": [3], "decided": ["yes"]}
    assert ask(capsys, "replay", data, "--engine", "bank", "--until", "1")[0]["state"]["balance"] == 5
    assert ask(capsys, "replay", data, "--engine", "bank", "--until", "6")[0]["state"]["balance"] == 8
    assert ask(capsys, "replay", data, "--engine", "bank", "--until", "99", code=4)[0]["error"] == "not_found"
    assert run(["replay", data, "--until", "1"]) == 2


def test_a_divergence_is_shown_with_both(data: str, tmp_path: Path) -> None:
    """False if changed code passed a replay whose outputs it changes."""
    root = tmp_path / "other"
    root.mkdir()
    source = Path(ROOT, "journal_engines.py").read_text()
    (root / "journal_engines.py").write_text(source.replace("Paid(m.amount, balance)", "Paid(m.amount, balance + 1)"))
    record = Path(data, "journal", "node.json")
    record.write_text(record.read_text().replace(ROOT, str(root)))
    ran = subprocess.run(
        [sys.executable, "-m", "host", "replay", data, "--verify", "--json"],
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
    )
    assert ran.returncode == 8, ran.stderr
    item = json.loads(ran.stdout)["items"][0]
    assert (item["engine"], item["turn"]) == ("bank", 1)
    assert item["recorded"] != item["found"]
    assert item["outputs"][0]["message"]


def test_a_difference_names_the_code_that_made_it(data: str, tmp_path: Path) -> None:
    """False if the turns of an older version were shown as those of the present one."""
    root = tmp_path / "other"
    root.mkdir()
    (root / "journal_engines.py").write_text(Path(ROOT, "journal_engines.py").read_text() + "# edited\n")
    record = Path(data, "journal", "node.json")
    record.write_text(record.read_text().replace(ROOT, str(root)))
    command = [sys.executable, "-m", "host", "state", "diff", "bank", data, "--from", "4", "--to", "5", "--json"]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stderr
    (item,) = json.loads(ran.stdout)["items"]
    assert item["where"] == "state.balance"
    assert len(item["other_code"]) == 1


def test_state_diff_and_history(data: str, capsys: pytest.CaptureFixture[str]) -> None:
    """False if what a turn changed, or what caused it, were told otherwise than it was."""
    items = ask(capsys, "state", "diff", "bank", data, "--from", "4", "--to", "5")
    assert items == [{"where": "state.balance", "from": "5", "to": "6", "other_code": []}]
    turns = ask(capsys, "history", "bank", data)
    assert [turn["turn"] for turn in turns] == [1, 2, 3, 4, 5, 6, 7, 8, 9, 9]
    assert turns[0]["message"][0] == "Pay"
    assert turns[3]["timers"] == [["alarm", 1]]
    assert [turn["result"] for turn in turns[-2:]] == ["suspended", "committed"]
    assert [turn["turn"] for turn in ask(capsys, "history", "bank", data, "--from", "5", "--limit", "2")] == [5, 6]
    assert run(["history", "bank", data]) == 0
    assert "alice 1" in capsys.readouterr().out
    assert ask(capsys, "history", "nobody", data, code=4)


def test_verify_dump_and_repair(data: str, capsys: pytest.CaptureFixture[str]) -> None:
    """False if damage were not found, or a repair kept what is damaged or threw it away."""
    assert ask(capsys, "journal", "verify", data)[0]["finding"] == ""
    kinds = [item["kind"] for item in ask(capsys, "journal", "dump", data, "--engine", "bank")]
    assert kinds[0] == "image"
    assert "turns" in kinds
    segment = max(Path(data, "journal", "bank").glob("*.log"))
    content = bytearray(segment.read_bytes())
    content[160] ^= 1
    segment.write_bytes(content)
    found = ask(capsys, "journal", "verify", data, code=1)[0]
    assert (found["segment"], found["offset"]) == (segment.name, 104)
    assert "repair" in found["choices"]
    assert ask(capsys, "replay", data, code=10)
    assert ask(capsys, "journal", "repair", data)[0]["finding"]
    assert segment.read_bytes() == content
    done = ask(capsys, "journal", "repair", data, "--yes")[0]
    assert (segment.parent / done["set_aside"]).read_bytes() == content
    folder = Folder(str(segment.parent))
    recovered = recover(folder, "node", load, BOOT)
    assert recovered.is_lost
    assert recovered.replay.streams["bank"].turns == 3
    assert Worker(folder).engines["bank"].epoch == 2
    assert LOST not in folder.names()


def test_export_and_import_carry_everything(data: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """False if a backup lacked something, was mixed with what is there, or let numbers be given out twice."""
    archive = str(tmp_path / "backup.tar")
    assert ask(capsys, "journal", "export", archive, data)[0]["files"] == 3
    assert run(["journal", "export", archive, data]) == 1
    other = str(tmp_path / "other")
    assert ask(capsys, "journal", "import", archive, other)[0]["files"] == 3
    assert ask(capsys, "replay", other)[0]["state"] == ask(capsys, "replay", data)[0]["state"]
    assert run(["journal", "import", archive, other]) == 9
    folder = data_folder.log_folder(other, "bank")
    assert Worker(folder).engines["bank"].epoch == 2


def test_an_archive_that_is_none_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """False if an import wrote outside its folder, or ended in a traceback."""
    import io
    import tarfile

    for number, name in enumerate(["../evil", "journal/x/../../evil", "journal/x/1.log", "/etc/passwd"]):
        path = tmp_path / f"{number}.tar"
        with tarfile.open(path, "w") as tar:
            info = tarfile.TarInfo(name)
            info.size = 3
            tar.addfile(info, io.BytesIO(b"bad"))
        assert run(["journal", "import", str(path), str(tmp_path / f"data{number}")]) == 4
    (tmp_path / "text").write_text("no tar")
    assert run(["journal", "import", str(tmp_path / "text"), str(tmp_path / "data")]) == 4
    assert not list(tmp_path.rglob("evil"))
    assert "Traceback" not in capsys.readouterr().err


def test_a_second_writer_is_kept_out(data: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """False if a command changed a log under a running node."""
    lock = lock_data(data)
    try:
        assert run(["journal", "import", __file__, data]) == 9
        assert "a node runs on" in capsys.readouterr().err
    finally:
        os.close(lock)


def test_what_is_no_journal_says_what_to_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """False if a wrong path ended in anything but a sentence."""
    for argv in (["replay"], ["journal", "verify"], ["history", "bank"], ["journal", "dump"]):
        assert run([*argv, str(tmp_path)]) == 4
    assert "name the data folder of a node" in capsys.readouterr().err


def test_a_live_export_is_a_prefix(data: str, tmp_path: Path) -> None:
    """False if a copy made while a batch is written could not be imported."""
    segment = max(Path(data, "journal", "bank").glob("*.log"))
    segment.write_bytes(segment.read_bytes()[:-20])
    operations.export(data_folder.find_logs(data), str(tmp_path / "x.tar"))
    shutil.rmtree(data)
    assert operations.import_logs(str(tmp_path / "x.tar"), data) == 3
    found = recover(data_folder.log_folder(data, "bank"), "node", load, b"another boot....")
    assert found.replay.streams["bank"].turns == 9
