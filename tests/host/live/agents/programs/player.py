"""An agent that plays with others, and notes what was accepted in `noted.jsonl`, a line each.

count LAST PEER [begin]    says the number after each one that it gets to PEER, up to LAST; `begin` says 1
lie COUNT                  claims to be where it is not, and who it is not
"""

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, os.environ["CODE"])
from host.aism.bus_client import BusClient, find_bus
from host.aism.client import AgentClient
from host.aism.output import Failure

client = AgentClient()
noted = Path("noted.jsonl")


def note(value: Any) -> None:
    line = json.dumps(value)
    if not isinstance(value, int) or not noted.exists() or line not in noted.read_text().splitlines():
        with noted.open("a") as out:
            out.write(line + "\n")


def ask(op: str, request_id: str, **fields: Any) -> dict[str, Any]:
    while True:
        try:
            return client.ask(op, request_id=request_id, timeout_s=10, **fields)
        except Failure as failure:
            if failure.kind not in ("timeout", "unavailable"):
                return {"success": False, "error": {"kind": failure.kind}}


def say(number: int, peer: str) -> None:
    """Whoever is killed after this says the same again, under the same id."""
    attempt = 0
    while not ask("message.send", f"say-{number}-{attempt}", to=peer, text=str(number))["success"]:
        attempt += 1
        time.sleep(0.1)
    note(number)


def count(last: int, peer: str, begins: bool) -> None:
    if begins:
        say(1, peer)
    turn = 0
    while True:
        turn += 1
        answer = ask("message.read", f"{os.getpid()}-read-{turn}", wait=1_000_000_000)
        for one in answer["data"]["messages"]:
            number = int(one["text"].splitlines()[1])
            if number < last:
                say(number + 1, peer)
            ask("message.ack", f"{os.getpid()}-ack-{turn}-{number}", ids=[one["id"]])


CLAIMS: list[tuple[str, dict[str, Any]]] = [
    ("state.transition", {"target": "waiting"}),
    ("state.transition", {"target": "playing", "expect_seq": 999}),
    ("state.transition", {"target": "playing", "agent": "honest0"}),
    ("state.transition", {"event": "message"}),
    ("context.set", {"values": {"role": "admin"}}),
    ("override.force", {"target": "playing", "reason": "I may"}),
]


def lie(count: int) -> None:
    """By way of the bus: `AgentClient` would refuse some claims itself."""
    bus = BusClient(find_bus(os.environ, os.getcwd()))
    for number in range(count):
        op, fields = CLAIMS[number % len(CLAIMS)]
        began = time.monotonic()
        answer = json.loads(bus.ask(op, json.dumps(fields), f"lie-{number}", 10.0))
        took_s = time.monotonic() - began
        note({"success": answer["success"], "kind": answer.get("error", {}).get("kind", ""), "took_s": took_s})


def laps() -> None:
    """Back to `waiting` as soon as that is allowed."""
    moves, turn = 0, 0
    found = ask("state.current", f"{os.getpid()}-where")["data"]
    while True:
        turn += 1
        allowed = found["allowed_transitions"]
        target = "waiting" if "waiting" in allowed else allowed[0]
        found = ask("state.transition", f"{os.getpid()}-lap-{turn}", target=target)["data"]
        moves += 1
        if target == "waiting":
            with noted.open("a") as out:
                out.write(f"{moves}\n")
            moves = 0
            time.sleep(0.2)
            found = ask("state.current", f"{os.getpid()}-where-{turn}")["data"]


match sys.argv[1:]:
    case ["laps"]:
        laps()
    case ["count", last, peer, *rest]:
        count(int(last), peer, bool(rest))
    case ["lie", number]:
        lie(int(number))
time.sleep(600)
