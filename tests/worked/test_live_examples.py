"""The worked examples on a node give the results they give by `step` alone.

Each runs live, every engine in its own process and all in one, and simulated. What one of them shows is what would be
false of the host if it failed, since the same families passed without one.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
import yaml
from live_node import CONFIGS, CommandError, Start
from nacl.signing import SigningKey


def test_greeting(start: Start) -> None:
    """If false, a reference sent along does not lead the response back."""
    node = start("greeting")
    node.send("john", "Greet", whom="alice")
    node.until_handled(john=2, alice=1)
    assert node.state("john") == {"greetings": {}}
    node.send("john", "Greet", whom="nobody")
    [letter] = node.until("the greeting to nobody", lambda: node.run("dead-letters"))
    assert (letter["sender"], letter["target"]) == ("john", "nobody")
    assert node.state("john") == {"greetings": {"nobody": {"type": "Greeting", "yours_truly": "john"}}}


def test_timestamping(start: Start) -> None:
    """If false, the attestation does not reach Bob, or its signature does not survive the way."""
    node = start("timestamping")
    node.send("server", "TimeStampRequest", hash="0x1337", destination="bob")
    [stamped] = node.until("Bob's attestation", lambda: node.state("bob")["stamps"])
    assert node.state("alice")["stamps"] == []
    assert stamped["hash"] == "0x1337"
    signed = bytes.fromhex("1337") + stamped["time_ns"].to_bytes(8, "big")
    _key().verify_key.verify(signed, bytes.fromhex(stamped["signature"][2:]))
    answer = node.ask("server", "TimeStampRequest", "TimeStampedHash", hash="0x1338")
    assert answer["hash"] == "0x1338"


def test_timestamping_by_a_client(start: Start) -> None:
    """If false, a client's timers do not fire, or fire too early for the limit.

    Two stamps may have one time: a server that had to wait for the processor reads both requests at once.
    """
    node = start("timestamping")
    node.send("alice", "Submit", hashes='["0x0a","0x0b","0x0c"]', server="server", destination="bob")
    stamps = node.until("three stamps", lambda: node.state("bob")["stamps"], lambda found: len(found) == 3)
    assert [stamp["hash"] for stamp in stamps] == ["0x0a", "0x0b", "0x0c"]
    times = [stamp["time_ns"] for stamp in stamps]
    assert all(later >= earlier for earlier, later in pairwise(times))
    node.until("no timer", lambda: node.run("timers", "alice"), lambda found: not found)


def test_timestamping_reloaded(start: Start) -> None:
    """If false, the state does not survive the change to the second version."""
    node = start("timestamping")
    node.ask("server", "TimeStampRequest", "TimeStampedHash", hash="0x01")
    node.run("reload", "server", "--to", "engines.examples.timestamping_v2:SERVER")
    assert node.state("server") == {"issued": 1, "refused": 0}
    node.ask("server", "TimeStampRequest", "TimeStampedHash", hash="0x02")
    assert node.ask("server", "ReportRequest", "Report") == {"issued": 2, "refused": 0}


def _key() -> SigningKey:
    written = yaml.safe_load((CONFIGS / "timestamping.yaml").read_text(encoding="utf-8"))
    return SigningKey(bytes.fromhex(written["engines"]["server"]["config"]["key"][2:]))


@pytest.mark.storm
def test_voting(start: Start) -> None:
    """If false, the host stamps another sender on a vote than who cast it."""
    node = start("voting")
    for voter, candidate in (("voter.1", "tea"), ("voter.2", "coffee"), ("voter.1", "coffee"), ("voter.3", "tea")):
        node.send(voter, "Elect", candidate=candidate, poll="drinks")
    node.until_handled(drinks=4)
    assert node.ask("drinks", "ResultRequest", "Result") == {"votes": {"coffee": 1, "tea": 2}, "voters": 3}
    node.send("voter.1", "Elect", candidate="green", poll="colours")
    node.until_state("colours", {"by_voter": {"voter.1": "green"}})


def test_ticker(start: Start) -> None:
    """If false, two increments and a question do not give two."""
    node = start("ticker")
    node.send("ticker", "Increment")
    node.send("ticker", "Increment")
    assert node.ask("ticker", "Count", "Counted") == {"count": 2}
    assert node.state("ticker") == {"count": 2}


def test_ticker_with_continuation(start: Start) -> None:
    """If false, the continuation is not born, or the old name does not end."""
    node = start("ticker_continuation")
    node.send("drummer", "Beat", times="103", ticker="ticker")
    letters = node.until("late mail", lambda: node.run("dead-letters"), lambda found: len(found) == 3)
    assert {(letter["target"], letter["reason"]) for letter in letters} == {("ticker", "ended")}
    assert node.ask("ticker/next", "Count", "Counted") == {"count": 100}
    assert list(node.engines()) == ["drummer", "ticker/next"]
    node.send("ticker/next", "Increment")
    assert node.ask("ticker/next", "Count", "Counted") == {"count": 101}
    with pytest.raises(CommandError) as refused:
        node.send("ticker", "Increment")
    assert refused.value.code == 4


def test_broadcast(start: Start) -> None:
    """If false, the value does not reach all, or the traffic does not stop."""
    node = start("broadcast")
    node.send("first", "Announce")
    node.until_handled(first=3, second=2, third=2)
    assert [node.state(name) for name in ("first", "second", "third")] == [{"value": 42}] * 3
    assert [engine["handled"] for engine in node.engines().values()] == [3, 2, 2]


def test_ping_pong(start: Start) -> None:
    """If false, a turn is lost between the processes, or played twice."""
    node = start("ping_pong")
    node.send("ann", "Serve", opponent="ben", turns="6")
    node.until_state("ben", {"took": [2, 4, 6]})
    node.until_state("ann", {"took": [1, 3, 5]})


@pytest.mark.storm
def test_causal(start: Start) -> None:
    """If false, stored mail is not kept, shown, or consumed."""
    node = start("causal")
    node.send("posts", "Post", name="m1")
    node.send("posts", "Post", name="m2", needs='["m3"]')
    node.until_handled(posts=2)
    [mailbox] = node.run("mailbox", "posts")
    assert [stored["message"]["name"] for stored in mailbox["stored"]] == ["m2"]
    node.send("posts", "Post", name="m3")
    node.until_state("reader", {"names": ["m1", "m3", "m2"]})
    [mailbox] = node.run("mailbox", "posts")
    assert mailbox["stored"] == []


def test_dice(start: Start) -> None:
    """If false, a question does not suspend its engine, or the answer does not move it."""
    node = start("dice")
    node.send("dice", "Bet", stake="10", side="6")
    node.until("the question", lambda: node.engines()["dice"]["waits_for"])
    assert node.engines()["dice"]["waits_for"] == ["roll", "withdraw"]
    node.run("answer", "dice", "roll")
    found = node.until("the balance", lambda: node.state("dice")["balance"])
    assert found in (10, -50)


@pytest.mark.storm
def test_devices(start: Start) -> None:
    """If false, a driver does not run, or its answers do not come back."""
    node = start("devices")
    assert node.ask("clock", "ReadClock", "ClockReading")["wall_ns"] > 0
    assert node.ask("journal", "WriteLine", "Written", text="hello") == {"text": "hello"}
    [line] = node.ask("journal", "ReadLines", "Lines")["lines"]
    assert line["text"] == "hello"


def test_every_config_is_started_by_a_test() -> None:
    """If false, a node file was added that no test starts. That of agents is started in `tests/host/live/agents`."""
    beside = [
        *Path(__file__).parent.glob("test_*.py"),
        Path(__file__).parents[1] / "host" / "live" / "test_transactions.py",
    ]
    source = "".join(path.read_text(encoding="utf-8") for path in beside)
    stems = [path.stem for path in sorted(CONFIGS.glob("*.yaml")) if path.stem != "agents"]
    assert [stem for stem in stems if f'start("{stem}")' not in source and f' / "{stem}.yaml"' not in source] == []
