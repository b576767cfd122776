"""`enginehost conform` on the logs of nodes that ran: one order of all, properties, and what is refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from altered_logs import AlteredLog
from live_nodes import LiveNode, new_world, until
from test_guarantees import seen_of_kills, seen_of_nodes

from host.cli.main import run
from host.config.spec import EngineSpec
from host.live.journal.frames import frame_bytes, read_frame
from host.node.journal.records import RecordKind

ORDERS = 4


@pytest.fixture(scope="module")
def ran() -> Iterator[Path]:
    """The data folder of a node with two engines, each in its process, of which both were killed on the way."""
    with new_world() as world:
        kinds = (("from", "pairing:SENDER"), ("to", "pairing:RECEIVER"))
        engines = [EngineSpec(name, family, durability="durable") for name, family in kinds]
        with world.up(world.spec(*engines)) as node:
            for order in range(ORDERS):
                node.send("from", "Go", to=["to"], first=1 + order * 3, count=3)
                until(lambda: len(taken(node)) == 3 + order * 3, "the numbers")  # noqa: B023
                if order in (1, 2):
                    node.ask("kill", engine=("from", "to")[order - 1])
                    until(lambda: all(one["state"] == "running" for one in node.ps().values()), "the next process")
            node.end()
        yield world.folder / "test"


def taken(node: LiveNode) -> list[int]:
    """The numbers that the receiver has."""
    return list(node.ask("state", engine="to")[0]["state"]["numbers"])


def ask(capsys: pytest.CaptureFixture[str], data: Path, *argv: str, code: int = 0) -> dict[str, Any]:
    assert run(["conform", str(data), *argv, "--json"]) == code, capsys.readouterr().err
    (item,) = json.loads(capsys.readouterr().out)["items"]
    return dict(item)


def test_a_live_run_conforms(ran: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """False if what a node recorded, over two killed processes, were no run of its rules; or if messages in transit,
    or the history of a system, were not those of the states between its turns.
    """
    item = ask(capsys, ran, "--spec", "pair_claims:SYSTEM")
    assert item == {"conforms": True, "turns": ORDERS * 4, "engines": 2, "notes": [], "deviation": None}
    assert run(["conform", str(ran)]) == 0
    assert capsys.readouterr().out == f"conforms: {ORDERS * 4} turns of 2 engines\n"


def test_a_broken_property_is_named_with_its_turn(ran: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """False if a property that does not hold passed, or were blamed on another turn than the one that broke it."""
    item = ask(capsys, ran, "--always", "pair_claims:few_are_taken", code=8)
    found = item["deviation"]
    assert (found["kind"], found["engine"], found["turn"], found["log"]) == ("property", "to", 5, "to")
    assert found["found"] == "always few_are_taken does not hold"
    assert run(["conform", str(ran), "--always", "pair_claims:few_are_taken"]) == 8
    assert "turn 5 of to\n  after it, always few_are_taken does not hold\n" in capsys.readouterr().out


def test_mail_that_its_sender_did_not_send(ran: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """False if a receiver's log could have another message than its sender's rules made: its own rules take any."""
    data = tmp_path / "data"
    shutil.copytree(ran, data)
    log = AlteredLog(str(data / "journal" / "to" / "00000001.log"))
    record = log.of("to", RecordKind.FRAME)[0]
    mail = read_frame(memoryview(record.body))
    content = [msgspec.msgpack.encode(["Numbered", 99]), *mail.payloads[1:]]
    record.body = frame_bytes(mail.sender, mail.target, mail.mailbox, mail.epoch, mail.first_n, content)
    offset, number = log.write()[id(record)]
    for other in sorted((data / "journal" / "to").glob("0000000[2-9].*")):
        other.unlink()
    found = ask(capsys, data, code=8)["deviation"]
    assert (found["kind"], found["log"], found["offset"], found["record"]) == ("message", "to", offset, number)
    assert found["recorded"] == "message 1 of from is Numbered(99)"
    assert found["found"] == "from sent Numbered(n=1)"


def test_other_code_is_named(ran: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """False if a run passed under rules that send something else, or these were not named as the difference, or were
    taken for the rules of the run without being asked for."""
    data, roots = tmp_path / "data", tmp_path / "roots"
    shutil.copytree(ran, data)
    shutil.copytree(ran.parent / "roots", roots)
    source = (roots / "pairing.py").read_text()
    (roots / "pairing.py").write_text(source.replace("Numbered(n))", "Numbered(n + 1))"))
    record = data / "journal" / "node.json"
    record.write_text(record.read_text().replace(str(ran.parent / "roots"), str(roots)))
    assert run(["conform", str(data)]) == 0
    assert capsys.readouterr().out.startswith("conforms: ")
    assert run(["conform", str(data), "--present"]) == 8
    said = capsys.readouterr().out
    assert ": from, turn 1, " in said
    assert "    to to: Numbered(n=2)\n" in said
    assert "it was made by other code than is loaded here" in said


def test_bad_input_is_refused_in_a_line(ran: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """False if a mistake in what is asked for had a traceback, another exit code, or no name in it."""
    cases = [
        (["--always", "pair_claims:nothing"], 2, "pair_claims:nothing: is nothing there"),
        (["--always", "absent:p"], 2, "there is no module absent"),
        (["--always", "pair_claims:raises"], 2, "`raises` raised KeyError"),
        (["--spec", "pairing:SENDER"], 2, "pairing:SENDER is no System"),
        (["--spec", "pair_claims:SILENT"], 2, "states nothing of every state"),
    ]
    for argv, code, text in cases:
        assert run(["conform", str(ran), *argv]) == code
        said = capsys.readouterr()
        assert (said.out, said.err.count("\n")) == ("", 1)
        assert text in said.err
    assert run(["conform", str(tmp_path)]) == 4
    assert "name the data folder" in capsys.readouterr().err
    damaged = tmp_path / "data"
    shutil.copytree(ran, damaged)
    path = damaged / "journal" / "to" / "00000001.log"
    content = bytearray(path.read_bytes())
    content[200] ^= 1
    path.write_bytes(content)
    assert run(["conform", str(damaged)]) == 10
    assert "enginehost journal verify" in capsys.readouterr().err


@pytest.mark.storm
def test_runs_with_kills_under_load_conform(capsys: pytest.CaptureFixture[str]) -> None:
    """False if a log conformed only while nothing happened: here processes are killed, one and all, under load."""
    for seen in (lambda world: seen_of_kills(world, 6, seed=21), lambda world: seen_of_nodes(world, 3, seed=22)):
        with new_world() as world:
            seen(world)
            capsys.readouterr()
            item = ask(capsys, world.folder / "test")
            assert item["turns"] > 100
