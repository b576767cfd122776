"""The chart of a live node is that of what it did, and `enginehost chart` says what it cannot draw."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from deadline import DEADLINE_NS
from live_nodes import LiveNode, World, until

from host.cli.main import run
from host.config.spec import EngineSpec, NodeSpec, SupervisionSpec

FREE = SupervisionSpec(intensity=None, backoff_ns=0, budget=None)
SECOND_NS = 10**9
TIME = re.compile(r"^\d\d:\d\d:\d\d\.\d{3}  |^ {14}", re.MULTILINE)

BIRTHS = [
    "alice                  begins: timestamping:CLIENT",
    "dice                   begins: dice:DICE",
    "drummer                begins: ticker_continuation:DRUMMER",
    "host                   begins: lodging:HOST",
    "ticker                 begins: ticker_continuation:TICKER",
]
"""In any order: their processes begin side by side."""

RUN = """\
cli.1 -> drummer       Beat(times=3, ticker=ticker)
drummer ~>x ticker     Increment (never taken: ticker ended first)
drummer -> ticker      Increment
drummer -> ticker      Increment
ticker => ticker/next  spawn ticker_continuation:TICKER
ticker                 ends
cli.2 -> alice         Submit(hashes=[0x01, 0x02], server=nobody,
                       destination=drummer)
alice                  timer ready set: 0.2 s
alice ~> nobody        TimeStampRequest(hash=0x01,
                       destination=drummer)
alice                  timer ready elapsed
alice                  timer ready set: 0.2 s
alice ~> nobody        TimeStampRequest(hash=0x02,
                       destination=drummer)
alice                  timer ready elapsed
cli.3 -> host          Open
host => host/lodger.1  spawn lodging:LODGER
host/lodger.1          begins: lodging:LODGER
cli.4 -> host          Ship(size=2, target=host/lodger.1)
host -> host/lodger.1  Parcel(content=0x0000)
cli.5 -> dice          Bet(stake=1, side=2, player=cli.5)
dice                   asks: roll | withdraw
dice                   process restarts after a crash
dice                   answer: withdraw
dice ~> cli.5          Settled(rolled=false, side=0, gain=0)
dice                   a new process goes on
host, host/lodger.1    a new process goes on
host                   reloaded: lodging:HOST, code N
host/lodger.1          reloaded: lodging:LODGER, code N
"""

DICE = """\
TIME          cli.5  dice
                |----->|   Bet(stake=1, side=2, player=cli.5)
                |      o   asks: roll | withdraw
                |      o   process restarts after a crash
                |      o   answer: withdraw
                |<- - -|   Settled(rolled=false, side=0, gain=0)
                |      o   a new process goes on
"""

DIAGRAM = """\
sequenceDiagram
    actor p1 as cli.5
    participant p2 as dice
    p1->>p2: Bet(stake=1, side=2, player=cli.5)
    Note over p2: asks#58; roll #124; withdraw
    Note over p2: process restarts after a crash
    Note over p2: answer#58; withdraw
    p2--)p1: Settled(rolled=false, side=0, gain=0)
    Note over p2: a new process goes on
"""


def node_spec(world: World) -> NodeSpec:
    """Engines that spawn, end, set timers and ask; children with a log and without."""
    pace = {"requests": 1, "window_ns": SECOND_NS // 5}
    engines = (
        EngineSpec("alice", "engines.examples.timestamping:CLIENT", pace, durability="durable"),
        EngineSpec("drummer", "engines.examples.ticker_continuation:DRUMMER", durability="durable"),
        EngineSpec("ticker", "engines.examples.ticker_continuation:TICKER", {"every": 2}, durability="durable"),
        EngineSpec("dice", "engines.examples.dice:DICE", {"patience_ns": 3600 * SECOND_NS}, durability="durable"),
        EngineSpec("host", "lodging:HOST", durability="crash"),
    )
    return world.spec(*engines, supervision=FREE)


def act(node: LiveNode, roots: Path) -> None:
    """One thing after another, so that the clocks order what messages do not."""
    node.send("drummer", "Beat", times=3, ticker="ticker")
    until(lambda: "ticker/next" in node.ps(), "the continuation")
    node.send("alice", "Submit", hashes=["0x01", "0x02"], server="nobody", destination="drummer")
    until(lambda: letters_to(node, "nobody") == 2 and not node.ask("timers", engine="alice"), "both requests")
    node.send("host", "Open")
    until(lambda: "host/lodger.1" in node.ps(), "the lodger")
    node.send("host", "Ship", size=2, target="host/lodger.1")
    until(lambda: node.ps()["host/lodger.1"]["handled"] == 1, "the parcel")
    node.send("dice", "Bet", stake=1, side=2)
    until(lambda: node.ps()["dice"]["waits_for"], "the question")
    node.ask("kill", engine="dice")
    until(lambda: node.events("restarted", "dice") and node.ps()["dice"]["waits_for"], "the question again")
    node.ask("answer", engine="dice", choice="withdraw")
    until(lambda: not node.ps()["dice"]["waits_for"], "the transition behind it")
    node.ask("reload", engine="dice", timeout_ns=DEADLINE_NS)
    with (roots / "lodging.py").open("a") as source:
        source.write("# edited")
    node.ask("reload", engine="host", timeout_ns=DEADLINE_NS)


def letters_to(node: LiveNode, target: str) -> int:
    return sum(letter["target"] == target for letter in node.ask("dead_letters", limit=100))


def test_the_chart_of_a_run(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """False if a message, spawn, timer, question, answer, restart, reload or end of this run were missing in its chart,
    in another order, or other than it was; or if a chart could only be drawn once the node is down.
    """
    data = str(world.folder / "test")
    with world.up(node_spec(world)) as node:
        act(node, world.roots)
        assert run(["chart", data]) == 0
        drawn = capsys.readouterr().out
        node.end()
    head, *lines = TIME.sub("", drawn).splitlines(keepends=True)
    assert head.split() == ["TIME", "WHO"]
    assert sorted("".join(lines[:5]).splitlines()) == BIRTHS
    assert re.sub("code [0-9a-f]+", "code N", "".join(lines[5:])) == RUN
    assert run(["chart", data]) == 0
    assert capsys.readouterr().out == drawn

    assert run(["chart", data, "--engine", "dice", "--from", "1"]) == 0
    assert TIME.sub(" " * 14, capsys.readouterr().out) == DICE
    assert run(["chart", data, "--engine", "dice", "--from", "1", "--mermaid"]) == 0
    assert capsys.readouterr().out == DIAGRAM
    assert run(["chart", data, "--json"]) == 0
    (item,) = json.loads(capsys.readouterr().out)["items"]
    assert {"name": "nobody", "is_outside": True} in item["participants"]
    assert {"name": "ticker/next", "is_outside": False} in item["participants"]
    fates = [event["fate"] for event in item["events"] if event["type"] == "arrow"]
    assert (fates.count("taken"), fates.count("lost"), fates.count("spawn"), fates.count("asked")) == (7, 1, 2, 1)
