"""The benchmarks that an earlier system for agents described, with agents that are processes of their own."""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from live_nodes import until
from test_engine_for_agents import Engine, engine_up

PROGRAMS = Path(__file__).parent / "programs"
CODE = str(Path(__file__).resolve().parents[4])
PROTOCOL = """---
version: 1.0.0
policy: at_safe_point
---
# Protocol: play

## States
- waiting (initial, safe, idle): For the others
- playing (safe): A turn
- counting (safe): The points

## Transitions
- waiting → playing: My turn
- playing → counting: The turn is over
- counting → waiting: Done
"""
SHORTER = PROTOCOL.replace("1.0.0", "1.1.0") + "- playing → waiting: Done, and counted\n"


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    """An engine for agents that is up, and whose agents may ask as often as they like."""
    with engine_up("play", PROTOCOL, is_limited=False) as made:
        yield made


def start(engine: Engine, agent: str, *words: str) -> Path:
    """The workspace of a new agent that plays."""
    command = (sys.executable, str(PROGRAMS / "player.py"), *words)
    engine.aism("agent", "add", agent, "--protocol", "play", "--env", f"CODE={CODE}", "--", *command)
    return engine.root / "agents" / agent


def noted(workspace: Path) -> list[Any]:
    """What a player has noted, a line each."""
    file = workspace / "noted.jsonl"
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def all_told(players: list[Path], last: int) -> list[int]:
    """The numbers that players noted, in order, once all up to `last` are there. A player says a number, then notes it:
    the next one may have noted its own by then."""
    wanted = set(range(1, last + 1))
    until(lambda: wanted <= {number for one in players for number in noted(one)}, f"1 to {last}", 60 + last)
    return sorted(number for one in players for number in noted(one))


@pytest.mark.parametrize("last", [20, pytest.param(1_000, marks=pytest.mark.long)])
def test_b1_two_agents_alternate(engine: Engine, last: int) -> None:
    """False if two agents that count in turn leave a number out, say one twice, or speak out of turn."""
    names = [f"ping{last}", f"pong{last}"]
    players = [
        start(engine, names[0], "count", str(last), names[1]),
        start(engine, names[1], "count", str(last), names[0], "begin"),
    ]
    assert all_told(players, last) == list(range(1, last + 1))
    assert [sorted(noted(one)) == noted(one) for one in players] == [True, True]
    assert {number % 2 for number in noted(players[1])} == {1}


@pytest.mark.parametrize("last", [15, pytest.param(100, marks=pytest.mark.long)])
def test_b2_three_agents_count_though_one_is_killed(engine: Engine, last: int) -> None:
    """False if a number is left out or said twice by three agents in a ring, one of which is killed midway."""
    names = [f"ring{last}-{number}" for number in range(3)]
    players = [
        start(engine, name, "count", str(last), names[(place + 1) % 3], *(["begin"] if not place else []))
        for place, name in reversed([*enumerate(names)])
    ]
    until(lambda: any(number >= last // 2 for one in players for number in noted(one)), "half", 60 + last)
    pid = engine.aism("agent", "show", names[1])["data"]["pid"]
    psutil.Process(pid).kill()
    assert all_told(players, last) == list(range(1, last + 1))


def test_b3_false_claims_are_refused_and_the_others_work_on(engine: Engine) -> None:
    """False if an agent that claims to be elsewhere, or to be another, gets what it wants, or disturbs others; or if a
    claim is not refused in its own answer, or not counted. `pytest -rP` shows how long that took."""
    honest = [
        start(engine, "honest0", "count", "10", "honest1"),
        start(engine, "honest1", "count", "10", "honest0", "begin"),
    ]
    liar = start(engine, "liar", "lie", "30")
    until(lambda: len(noted(liar)) == 30, "thirty claims", 60.0)
    assert {one["success"] for one in noted(liar)} == {False}
    assert {one["kind"] for one in noted(liar)} <= {"validation", "conflict", "usage", "identity"}
    took_s = [one["took_s"] for one in noted(liar)]
    print(f"refused after {statistics.median(took_s) * 1e3:.1f} ms at the median, {max(took_s) * 1e3:.1f} at most")
    assert all_told(honest, 10) == list(range(1, 11))
    with engine.client() as client:
        by_protocol = sum(one["kind"] in ("validation", "conflict") for one in noted(liar))

        def refused() -> int:
            return int(client.ask("measure.self", agent="liar")["data"]["hour"].get("refused", {}).get("count", 0))

        until(lambda: refused() == by_protocol == 20, "each refusal by the protocol is counted")


def test_b5_an_improved_protocol_is_adopted_in_flight(engine: Engine) -> None:
    """False if agents that run do not come to use a shorter way, or had to be started again for it."""
    players = [start(engine, f"lapper{number}", "laps") for number in range(2)]
    until(lambda: all(len(noted(one)) > 3 for one in players), "laps", 60.0)
    assert {moves for one in players for moves in noted(one)} == {3}
    (engine.root / "protocols" / "play.md").write_text(SHORTER)
    engine.aism("protocol", "load", "protocols/play.md")
    until(lambda: all(noted(one)[-1] == 2 for one in players), "shorter laps", 60.0)
    assert [noted(one) == sorted(noted(one), reverse=True) for one in players] == [True, True]
    for number in range(2):
        assert engine.aism("agent", "show", f"lapper{number}")["data"]["session"] == 1
