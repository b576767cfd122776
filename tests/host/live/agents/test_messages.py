"""Messages, measurement and audit on a real node, with agents that are processes: kills, stops, and what is kept."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from random import Random

import psutil
import pygit2
import pytest
from bus_world import AISM
from deadline import DEADLINE_S
from live_nodes import until
from test_engine_for_agents import Engine, engine_up

from host.aism.bus_client import find_bus

sys.path.insert(0, str(Path(__file__).parents[3] / "engines" / "agents"))
from written_logs import random_logs

PROGRAMS = Path(__file__).parent / "programs"
CODE = str(Path(__file__).resolve().parents[4])
PROTOCOL = """---
version: 1.0.0
---
# Protocol: talk

## States
- on (initial, safe, idle): Talks

## Transitions
- on → self: Always
"""


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    """An engine for agents that is up, and whose agents may ask as often as they like."""
    with engine_up("talk", PROTOCOL, is_limited=False) as made:
        yield made


def start(engine: Engine, agent: str, program: str, *words: str) -> Path:
    """The workspace of a new agent."""
    command = (sys.executable, str(PROGRAMS / program), *words)
    engine.aism("agent", "add", agent, "--protocol", "talk", "--env", f"CODE={CODE}", "--", *command)
    return engine.root / "agents" / agent


def got(workspace: Path) -> list[list[str]]:
    """What a reader has got: id, attempt, sender and number of each message."""
    file = workspace / "got.txt"
    return [line.split() for line in file.read_text().splitlines()] if file.exists() else []


@pytest.mark.parametrize("count", [60, pytest.param(1_000, marks=pytest.mark.storm)])
def test_r3_messages_arrive_once_and_in_order_while_families_are_killed(engine: Engine, count: int) -> None:
    """False if a kill loses an accepted message, repeats an acknowledged one, or reorders those of a sender."""
    shares = ((0.2, "router"), (0.4, "bridge"), (0.6, "router"), (0.8, "measurement"))
    exchange(engine, f"reader{count}", 2, count, [(int(share * 2 * count), victim) for share, victim in shares])


@pytest.mark.long
def test_r3_ten_thousand_messages_arrive_though_the_router_is_killed_at_fifty_points(engine: Engine) -> None:
    """False as above, for ten senders of a thousand messages each (R1 with real processes), and kills at random."""
    points = sorted(Random(3).sample(range(10_000), 50))
    exchange(engine, "archive", 10, 1_000, [(point, "router") for point in points])


def exchange(engine: Engine, to: str, senders: int, count: int, kills: list[tuple[int, str]]) -> None:
    """Messages to an agent, `count` of each sender; kills of families, each when so many messages have come."""
    reader = start(engine, to, "reader.py")
    names = [f"{to}-{number}" for number in range(senders)]
    for name in names:
        start(engine, name, "mailer.py", str(count), to)
    for point, victim in kills:
        until(lambda point=point: len(got(reader)) >= point, f"{point} messages")  # type: ignore[misc]
        pid = until(lambda victim=victim: engine.pids().get(victim), victim)  # type: ignore[misc]
        psutil.Process(pid).kill()
    until(lambda: len({one[0] for one in got(reader)}) == senders * count, "all messages", max(DEADLINE_S, count))
    rows = got(reader)
    assert len(rows) == senders * count, "an acknowledged message came again"
    for name in names:
        assert [int(one[3]) for one in rows if one[2] == name] == list(range(count))
    with engine.client() as client:
        until(lambda: client.ask("message.read", agent=to, peek=True)["data"]["unread"] == 0, "empty inbox")


def test_r2_a_message_that_was_read_and_not_acknowledged_comes_again(engine: Engine) -> None:
    """False if a receiver that dies after it has read a message loses it."""
    reader = start(engine, "forgetful", "reader.py", "exit")
    start(engine, "writer", "mailer.py", "1", "forgetful")
    until(lambda: len(got(reader)) == 2, "the second try")
    (first, one, *_), (second, two, *_) = got(reader)
    assert (first, one, two) == (second, "1", "2")


def test_m3_nobody_waits_for_measurement_and_audit(engine: Engine) -> None:
    """False if messages stand still while measurement and audit do, or each of them is not counted afterwards."""
    reader = start(engine, "patient", "reader.py")

    def counted() -> int:
        with engine.client() as client:
            return int(client.ask("measure.system")["data"]["day"].get("message.sent", {}).get("count", 0))

    before = counted()
    pids = engine.pids()
    stopped = {pids["measurement"], pids["audit"]}
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    try:
        start(engine, "busy", "mailer.py", "100", "patient")
        until(lambda: len(got(reader)) == 100, "messages while nobody measures")
    finally:
        for pid in stopped:
            if psutil.pid_exists(pid):
                os.kill(pid, signal.SIGCONT)
    until(lambda: counted() >= before + 100, "the count of all messages")
    assert counted() == before + 100
    with engine.client() as client:
        assert client.ask("measure.system")["data"]["missed"] == 0


@pytest.mark.parametrize(
    "seconds", [pytest.param(10, marks=pytest.mark.storm), pytest.param(600, marks=pytest.mark.long)]
)
def test_m3_requests_take_no_longer_while_measurement_stands_still(engine: Engine, seconds: int) -> None:
    """False if agents feel that nobody measures, or a message of that time is neither counted nor told as missed."""

    def measured(what: str) -> int:
        with engine.client() as client:
            system = client.ask("measure.system")["data"]
            sent: int = system["day"].get("message.sent", {}).get("count", 0)
            return sent if what == "sent" else int(system["missed"])

    before = measured("sent") + measured("missed")
    reader = start(engine, f"reader-{seconds}", "reader.py")
    talker = start(engine, f"paced-{seconds}", "paced.py", f"reader-{seconds}")
    took = talker / "took.txt"
    until(lambda: took.exists() and len(took.read_text().splitlines()) >= 500, "requests while all is well")
    usual = len(took.read_text().splitlines())
    stopped = psutil.Process(engine.pids()["measurement"])
    stopped.suspend()
    try:
        time.sleep(seconds)
        during = len(took.read_text().splitlines())
    finally:
        with suppress(psutil.NoSuchProcess):
            stopped.resume()
    (talker / "end").touch()
    until(lambda: (talker / "sent.txt").exists(), "the last message")
    times = [int(line) for line in took.read_text().splitlines()]
    until(lambda: len(got(reader)) == len(times), "all messages", max(DEADLINE_S, seconds))
    until(lambda: measured("sent") + measured("missed") >= before + len(times), "the count", max(DEADLINE_S, seconds))
    assert measured("sent") + measured("missed") == before + len(times)
    p95 = [sorted(part)[len(part) * 95 // 100] for part in (times[:usual], times[usual:during])]
    print(f"{during - usual} requests, p95 {p95[0] / 1e6:.1f} ms before, {p95[1] / 1e6:.1f} ms in {seconds} s without")
    assert during - usual > seconds * 15
    assert p95[1] < 2 * p95[0] + 10_000_000


def test_s5_tokens_of_a_session_log_are_exact(engine: Engine, tmp_path: Path) -> None:
    """False if what an agent's program writes comes to other tokens than it used."""
    [lines], total, context = random_logs(11, 50, 1)
    (tmp_path / "lines").write_text("".join(line + "\n" for line in lines))
    start(engine, "thinker", "logger.py", str(tmp_path / "lines"))
    with engine.client() as client:

        def tokens() -> dict[str, int]:
            found: dict[str, int] = client.ask("measure.self", agent="thinker")["data"]["tokens"]
            return found

        until(lambda: tokens()["output"] == total.output, "all tokens")
        assert tokens() == {
            "input": total.input,
            "cache_read": total.cache_read,
            "cache_write": total.cache_write,
            "output": total.output,
        }
        answer = client.ask("measure.self", agent="thinker")["data"]
        assert answer["facts"]["context_tokens"] == context
        until(
            lambda: (
                client.ask("state.current", agent="thinker")["measurements"]["context_percent"]
                == answer["facts"]["context_percent"]
            ),
            "the fact in the answers of the validator",
        )


def test_x2_no_token_is_in_journal_events_audit_logs_or_command_lines(engine: Engine) -> None:
    """False if the secret of a token, of an agent that has sent or got messages or of an operator, is anywhere but in
    its own file."""
    told = start(engine, "told", "reader.py")
    start(engine, "teller", "mailer.py", "5", "told")
    until(lambda: len(got(told)) == 5, "the messages")
    tokens = [(engine.root / "agents" / name / ".aism" / "token").read_text() for name in ("told", "teller")]
    secrets = [one.partition("-")[2].encode() for one in tokens] + [find_bus({}, str(engine.root)).token.encode()]
    assert min(map(len, secrets)) > 20
    until(lambda: "told" in str(engine.aism("audit", "log", "-n", "100")), "the agent in the audit")
    own = {"token", "token.json", "bus.json"}
    files = [path for path in engine.root.parent.rglob("*") if path.is_file() and path.name not in own]
    repository = pygit2.Repository(str(engine.root / "engine" / "audit.git"))
    shown = [path.read_bytes() for path in files] + [repository[one].read_raw() for one in repository]
    events = [*AISM, "events", "-n", "1000"]
    shown.append(subprocess.run(events, capture_output=True, cwd=engine.root, env=engine.environment).stdout)
    assert b"told" in shown[-1]
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            shown.append(path.read_bytes())
    assert [one for one in shown if any(secret in one for secret in secrets)] == []


def test_d5_the_audit_is_what_the_journal_says(engine: Engine) -> None:
    """False if the audit of a node that worked, and was killed in part, lacks an event of the journal, has one twice or
    another one, or if `verify` does not see that it was cut.
    """
    witness = start(engine, "witness", "reader.py")
    start(engine, "author", "mailer.py", "20", "witness")
    until(lambda: got(witness), "the first message")
    psutil.Process(engine.pids()["router"]).kill()
    until(lambda: len(got(witness)) == 20, "all messages")

    def acknowledged() -> int:
        found = engine.aism("audit", "log", "-n", "1000", "--agent", "witness")["data"]["commits"]
        events = [event for one in found for event in one["events"] if event.get("agent") == "witness"]
        every = [event["attributes"]["ids"] for event in events if event["kind"] == "message.acked"]
        return len(" ".join(every).split())

    # The audit is written behind: what is still under way at an ordered stop is lost to it.
    until(lambda: acknowledged() == 20, "the last event of the messages in the audit")
    for count in (21, 22):  # each in a commit after those before, since two of three are cut off below
        start(engine, f"author-{count}", "mailer.py", "1", "witness")
        until(lambda count=count: acknowledged() == count, "one more message in the audit")  # type: ignore[misc]
    engine.aism("down", "--stop-agents")
    try:
        whole = engine.aism("audit", "verify")["data"]
        assert whole["recorded"] > 10
        assert whole["not_compared"] == []
        repository = pygit2.Repository(str(engine.root / "engine" / "audit.git"))
        newest = repository.references["refs/heads/audit"]
        newest.set_target(repository[newest.target].parents[0].parents[0].id)
        assert engine.aism("audit", "verify", code=1)["data"]["missing"]
    finally:
        engine.aism("up", "-d")
