"""Agents of a benchmark, as the Python client makes them: a thread each, in a few processes.

    python -m bench.crowd    a line of JSON in (a `Share`), a line when all are connected, a line in with the time to
                             begin at, a line of JSON out (a `Told`)

Each agent has a timetable, and keeps to it: what is due while it waits for an answer is done as soon as that has come.
Times are counted from when something was due, so waiting behind an earlier request counts too.
"""

from __future__ import annotations

import json
import sys
import time
from threading import Thread
from typing import Any, Final

import msgspec

from host.aism.bus_client import find_bus
from host.aism.client import AgentClient

PROTOCOL: Final = """---
version: 1.0.0
---
# Protocol: talk

## States
- here (initial, safe): One
- there (safe): The other

## Transitions
- here → there: Always
- there → here: Always
"""
TEXT: Final = "a message of some length, as agents write it to each other"
READ_MAX: Final = 100
SECOND_NS: Final = 10**9
LATE_NS: Final = 5 * SECOND_NS
"""How long an agent goes on after the end, for what was due before it."""


class Pace(msgspec.Struct, frozen=True):
    """What each agent does in a second, and for how long.

    A read takes what is in the inbox, 100 messages at most, and acknowledges what the read before it got. After the
    last one the agent acknowledges what is left.
    """

    messages: float
    transitions: float
    reads: float
    lasts_ns: int


class Share(msgspec.Struct, frozen=True):
    """The agents of a process: their environments; the agent that each sends to; the pace of each."""

    environments: list[dict[str, str]]
    receivers: dict[str, str]
    pace: Pace


class Told(msgspec.Struct):
    """What came of it: how many of each kind were done, how long they took, the processor time of the process."""

    done: dict[str, int] = {}
    refused: dict[str, int] = {}
    delivered_ns: list[int] = []
    answered_ns: list[int] = []
    took_ns: int = 0
    cpu_ns: int = 0


class Talker:
    """One agent."""

    def __init__(self, environment: dict[str, str], receivers: dict[str, str], pace: Pace) -> None:
        self.client = AgentClient(find_bus(environment, "/"))
        self.receiver = receivers[self.client.agent]
        self.told = Told()
        self._pace = pace
        self._unacked: list[str] = []
        self._state = self.ask("state.current")["data"]["state"]

    def ask(self, op: str, **fields: Any) -> dict[str, Any]:
        """A request, counted by how it ended."""
        answer = self.client.ask(op, **fields)
        which = self.told.done if answer["success"] else self.told.refused
        which[op] = which.get(op, 0) + 1
        return answer

    def talk(self, begin_ns: int) -> None:
        """Keep to the timetable, from `begin_ns` on."""
        end_ns = begin_ns + self._pace.lasts_ns
        steps = {self._send: self._pace.messages, self._move: self._pace.transitions, self._read: self._pace.reads}
        every = {step: int(SECOND_NS / rate) for step, rate in steps.items()}
        shift = hash(self.client.agent) % 997 / 997
        due = {step: begin_ns + int(shift * ns) for step, ns in every.items()}
        while True:
            step = min(due, key=due.__getitem__)
            now_ns = time.monotonic_ns()
            if due[step] >= end_ns or now_ns > end_ns + LATE_NS:
                break
            if due[step] > now_ns:
                time.sleep((due[step] - now_ns) / SECOND_NS)
            step(due[step])
            due[step] += every[step]
        if self._unacked:
            self._count_acked(self.ask("message.ack", ids=self._unacked))
        self.told.took_ns = time.monotonic_ns() - begin_ns

    def _send(self, due_ns: int) -> None:
        self.ask("message.send", to=self.receiver, text=f"{due_ns} {TEXT}")

    def _move(self, due_ns: int) -> None:
        target = "there" if self._state == "here" else "here"
        if self.ask("state.transition", target=target)["success"]:
            self._state = target
        self.told.answered_ns.append(time.monotonic_ns() - due_ns)

    def _read(self, _due_ns: int) -> None:
        answer = self.ask("message.read", max=READ_MAX, ack=self._unacked or None)
        now_ns = time.monotonic_ns()
        messages = answer["data"]["messages"]
        self.told.delivered_ns += [now_ns - _sent_ns(one["text"]) for one in messages]
        self._count_acked(answer)
        self._unacked = [one["id"] for one in messages]

    def _count_acked(self, answer: dict[str, Any]) -> None:
        unknown = answer["data"].get("unknown", ())
        self.told.done["acked"] = self.told.done.get("acked", 0) + len(self._unacked) - len(unknown)


def _sent_ns(shown: str) -> int:
    """The time in a message, which is shown between markers."""
    return int(shown[: shown.index(" a message of")].split()[-1])


def main() -> None:
    """Be some agents."""
    share = msgspec.json.decode(sys.stdin.readline(), type=Share)
    talkers = [Talker(one, share.receivers, share.pace) for one in share.environments]
    for talker in talkers:
        talker.told = Told()
    print("ready", flush=True)
    begin_ns = int(sys.stdin.readline())
    cpu_ns = time.process_time_ns()
    threads = [Thread(target=talker.talk, args=(begin_ns,)) for talker in talkers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    told = merged([talker.told for talker in talkers])
    told.cpu_ns = time.process_time_ns() - cpu_ns
    print(json.dumps(msgspec.to_builtins(told)), flush=True)


def merged(every: list[Told]) -> Told:
    """All together; it took as long as the longest."""
    found = Told()
    for one in every:
        for ours, theirs in ((found.done, one.done), (found.refused, one.refused)):
            for name, count in theirs.items():
                ours[name] = ours.get(name, 0) + count
        found.delivered_ns += one.delivered_ns
        found.answered_ns += one.answered_ns
        found.took_ns = max(found.took_ns, one.took_ns)
        found.cpu_ns += one.cpu_ns
    return found


if __name__ == "__main__":
    main()
