"""What engines print is in the log of the node, by engine, and in one file that is bounded."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from live_nodes import LiveNode, World, until

from host.config.spec import EngineSpec, Placement
from host.live.control.protocol import ControlError
from host.live.output import split_label
from host.live.supervisor import printed
from host.live.supervisor.printed import OUTPUT, Printed
from host.live.supervisor.records import Record

SPEAKING = """
import logging, os, sys, warnings
from typing import Never
from engines.model import Arrived, Effects, Family, Message, Value, rule

print("imported")
logging.basicConfig(format="%(levelname)s %(message)s")

class Say(Message):
    how: str

@rule
def say(m: Say, t: Arrived[Say, None, None]) -> Effects[None, Never]:
    \"\"\"None; prints.\"\"\"
    match m.how:
        case "print":
            print("one\\ntwo")
        case "warn":
            warnings.warn("beware")
        case "log":
            logging.error("logged")
        case "raw":
            os.write(1, b"raw\\n")
        case "part":
            sys.stdout.write("in ")
            sys.stdout.flush()
            print("parts")
        case "die":
            print("last words")
            os._exit(1)
    return None

SPEAKER = Family("speaker", state=None, accepts=Say).rules(say)
"""


def speaker(name: str, **rest: Any) -> EngineSpec:
    return EngineSpec(name, "speaking:SPEAKER", **rest)


def lines(node: LiveNode, engine: str = "") -> list[str]:
    found = node.ask("logs", limit=1000, **({"engine": engine} if engine else {}))
    return [item["text"] for item in found]


def spoken(world: World, *engines: EngineSpec) -> Any:
    (world.roots / "speaking.py").write_text(SPEAKING)
    return world.up(world.spec(*engines))


def test_all_ways_to_print_reach_the_log_by_engine(world: World) -> None:
    """False if what an author prints to find a mistake is in a file that nobody knows."""
    with spoken(world, speaker("a"), speaker("b")) as node:
        assert "imported" in lines(node)
        for how in ("print", "log", "raw", "part", "warn"):
            node.send("a", "Say", how=how)
        node.send("b", "Say", how="print")
        until(lambda: lines(node, "b") == ["one", "two"], "what b printed")
        until(lambda: any("beware" in line for line in lines(node)), "the warning")
        assert [line for line in lines(node, "a") if "speaking.py" not in line][:4] == [
            "one",
            "two",
            "ERROR logged",
            "in parts",
        ]
        assert "raw" in lines(node)
        text = Path(node.spec.data, OUTPUT).read_text()
        assert "[a] one\n[a] two\n" in text


def test_engines_that_share_a_process_are_not_taken_for_one(world: World) -> None:
    """False if what one engine prints is said to be another's."""
    group = Placement("group", group="g")
    with spoken(world, speaker("a", placement=group), speaker("b", placement=group)) as node:
        node.send("b", "Say", how="print")
        until(lambda: "[a +1] one" in lines(node), "what was printed")
        assert lines(node, "a") == lines(node, "b") == []


def test_the_last_words_of_a_crash_are_found(world: World) -> None:
    """False if a traceback is only in a file, and no event says in which."""
    with spoken(world, speaker("a")) as node:
        with suppress(ControlError):
            node.send("a", "Say", how="die")
        (crashed,) = until(lambda: node.events("crashed", "a"), "the crash")
        assert (crashed["reason"], crashed["printed"]) == ("exception", os.path.join(node.spec.data, OUTPUT))
        assert "last words" in lines(node, "a")
    assert b"last words" in Path(node.spec.data, "logs.jsonl").read_bytes()


def following(folder: Path, scenario: Callable[[Printed, Record, Path], None]) -> None:
    """Run a scenario with a file that is read back; `a` is an engine."""

    async def run() -> None:
        path = folder / OUTPUT
        path.write_bytes(b"of an earlier life\n")
        record = Record(str(folder / "logs.jsonl"))
        scenario(Printed(str(path), record, lambda: 7, lambda name: name == "a"), record, path)
        record.close()

    asyncio.run(run())


def texts(record: Record) -> list[tuple[str, str]]:
    return [(item["engine"], item["text"]) for item in record.newest(1000)]


def test_a_label_counts_only_where_it_names_an_engine(tmp_path: Path) -> None:
    """False if a line that begins with a bracket loses its beginning."""

    def scenario(_: Printed, record: Record, path: Path) -> None:
        with path.open("ab") as file:
            file.write(b"[a] one\n[INFO] two\n[a] [b] three\n\nfour\xff\nhal")
        assert texts(record) == [("a", "one"), ("", "[INFO] two"), ("a", "[b] three"), ("", "four\\xff")]
        with path.open("ab") as file:
            file.write(b"f\n")
        assert texts(record)[-1] == ("", "half")

    following(tmp_path, scenario)
    assert split_label("no label] ") == ("", "no label] ")


def test_the_file_is_bounded_and_nothing_is_read_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """False if an engine that prints fills the disk, or is lost sight of when the file is cut off."""
    monkeypatch.setattr(printed, "OUTPUT_BYTES_MAX", 100)

    def scenario(_: Printed, record: Record, path: Path) -> None:
        for number in range(30):
            with path.open("ab") as file:
                file.write(b"line %d\n" % number)
            record.newest(0)
        assert [text for _, text in texts(record)] == [f"line {number}" for number in range(30)]
        assert path.stat().st_size < 200 > Path(f"{path}.1").stat().st_size

    following(tmp_path, scenario)


def test_too_much_is_skipped_and_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """False if an engine that prints without end keeps the supervisor from its work."""
    monkeypatch.setattr(printed, "BEHIND_BYTES_MAX", 1000)
    monkeypatch.setattr(printed, "READ_BYTES_MAX", 100)

    def scenario(_: Printed, record: Record, path: Path) -> None:
        with path.open("ab") as file:
            file.write(b"x" * 19 + b"\n" * 1 + b"0123456789abcdefghi\n" * 100)
        found = [text for _, text in texts(record)]
        assert found[0] == f"1920 bytes of output are in {path} only"
        assert found[1:] == ["0123456789abcdefghi"] * 5

    following(tmp_path, scenario)
