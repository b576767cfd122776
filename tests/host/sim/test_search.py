"""Planted mistakes are found under some seed, made small, and found again by the command that is printed."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest

from host.cli.main import run as run_command_line

HERE = Path(__file__).resolve().parent

NODE = f"""
node: planted
roots: [{HERE}]
engines:
  queue: {{family: "planted:QUEUE", durability: durable}}
  worker: {{family: "planted:WORKER"}}
  cashier: {{family: "planted:CASHIER", durability: durable}}
  buyer: {{family: "planted:BUYER", durability: durable}}
placement: {{default: process}}
"""

LOST = [
    *("--send", "queue Put n=1 worker=worker", "--send", "queue Put n=2 worker=worker"),
    *("--send", "queue Put n=3 worker=worker", "--send", "buyer Buy till=cashier amount=5"),
    *("--faults", "crash=0.01,slow=0.02,partition=0.01:1ms", "--finally", "planted:nothing_waits"),
]
TWICE = [
    *("--send", "buyer Buy till=cashier amount=5", "--send", "queue Put n=1 worker=worker"),
    *(
        "--faults",
        "crash=cashier:0.05,partition=0.02:9ms,reload=queue:0.1",
        "--check",
        "planted:nothing_is_taken_twice",
    ),
]


@pytest.fixture
def config(own_place: Path) -> str:
    """The node file, in the working folder."""
    (own_place / "planted.yaml").write_text(NODE, encoding="utf-8")
    return "planted.yaml"


def sim(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, list[dict[str, object]], str]:
    """Exit code, items, and what was printed on standard error."""
    code = run_command_line(["sim", *arguments, "--json"])
    printed = capsys.readouterr()
    items: list[dict[str, object]] = json.loads(printed.out)["items"] if printed.out else []
    return code, items, printed.err


@pytest.mark.parametrize(
    ("options", "kind", "messages"),
    [
        (LOST, "crash:worker:", ["send queue Put n=1 worker=worker"]),
        (TWICE, "", ["send buyer Buy till=cashier amount=5"]),
    ],
    ids=["lost wake-up", "retry"],
)
def test_a_planted_mistake(
    config: str, capsys: pytest.CaptureFixture[str], options: list[str], kind: str, messages: list[str]
) -> None:
    """False if the mistake was missed, or its report could not be made small or replayed."""
    code, [summary, found], _ = sim(capsys, config, "--seed", "1..400", *options)
    assert code == 8
    assert summary["failures"] == 1
    faults, left = found["faults"], found["messages"]
    assert isinstance(faults, list)
    assert isinstance(left, list)
    assert len(faults) == 1, "one fault is enough for it"
    assert faults[0].startswith(kind)
    assert len(left) == 1
    assert left[0].split()[:2] == messages[0].split()[:2]
    replay = shlex.split(str(found["replay"]))
    assert replay[:2] == ["enginehost", "sim"]
    code, [_, again], trace = sim(capsys, *replay[2:])
    assert code == 8
    assert {key: again[key] for key in ("property", "at_ns", "faults", "messages")} == {
        key: found[key] for key in ("property", "at_ns", "faults", "messages")
    }
    assert "does not hold" in trace


def test_runs_in_which_all_holds(config: str, capsys: pytest.CaptureFixture[str]) -> None:
    """False if an engine without a mistake was blamed, or the summary counted wrongly."""
    code, [summary], _ = sim(capsys, config, "--seed", "7..9", "--send", "queue Put n=1 worker=worker", *LOST[-2:])
    assert code == 0
    assert (summary["seeds"], summary["failures"]) == (3, 0)


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["--faults", "crash=2"], 2, "a probability is from 0 to 1"),
        (["--faults", "crash"], 2, "write name=value"),
        (["--faults", "crush=0.1"], 2, "there is no fault `crush`"),
        (["--faults", "delay=5..2ms"], 2, "expected a duration"),
        (["--faults", "delay=5ms..2ms"], 2, "the least delay is above the most"),
        (["--seed", "9..1"], 2, "the first one first"),
        (["--seed", "many"], 2, "is no seed"),
        (["--until", "soon"], 2, "or `idle`"),
        (["--trace"], 2, "give one --seed"),
        (["--rewrite"], 2, "needs a --script"),
        (["--check", "planted"], 3, "write package.module:NAME"),
        (["--check", "nowhere:it"], 3, "there is no module nowhere below the code roots"),
        (["--check", "planted:nothing_wait"], 3, "did you mean `nothing_waits`"),
        (["--check", "planted:nobody_has_it"], 8, "no engine 'nobody'; there are buyer"),
        (["--send", "queue"], 3, "`send` takes 2"),
        (["--send", "kueue Put n=1"], 3, "there is no engine kueue"),
        (["--send", "queue Put worker=worker"], 3, "`n` is missing"),
        (["--script", "missing"], 1, "missing: No such file"),
        (["--script", "latin"], 2, "a script is text in UTF-8"),
    ],
)
def test_bad_input(config: str, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, says: str) -> None:
    """False if a mistake was met with a traceback, or a message that does not help."""
    Path("latin").write_bytes(b"send caf\xe9\n")
    found = run_command_line(["sim", config, *arguments])
    printed = capsys.readouterr().err
    assert "Traceback" not in printed
    assert (found, says in printed) == (code, True), printed


def test_a_mistake_in_the_node_file_has_its_place(own_place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """False if a parameter of a wrong type were reported without the line it is in."""
    text = 'node: wrong\nengines:\n  one: {family: "engines.benchmark.ring:RUNNER", config: {nex: two}}\n'
    (own_place / "wrong.yaml").write_text(text, encoding="utf-8")
    assert run_command_line(["sim", "wrong.yaml"]) == 3
    printed = capsys.readouterr().err
    assert "wrong.yaml:3:" in printed
    assert "did you mean `next`" in printed


GOLDEN = """# a job is lost on its way
send queue Put n=1 worker=worker
deliver outside>queue
drop queue>worker
stabilize
tick 1s
state queue
"""


def test_a_script_is_compared_and_rewritten(config: str, own_place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """False if a script's output was not that of its file and nobody heard of it, or the flag did not accept it."""
    script = own_place / "lost.txt"
    script.write_text(GOLDEN, encoding="utf-8")
    assert run_command_line(["sim", config, "--script", "lost.txt"]) == 8
    assert "+  " in capsys.readouterr().err
    assert run_command_line(["sim", config, "--script", "lost.txt", "--rewrite"]) == 0
    written = script.read_text(encoding="utf-8")
    assert "  0.000" in written
    assert '"at_work":1' in written
    assert run_command_line(["sim", config, "--script", "lost.txt"]) == 0
    script.write_text(written.replace('"at_work":1', '"at_work":0'), encoding="utf-8")
    assert run_command_line(["sim", config, "--script", "lost.txt"]) == 8
