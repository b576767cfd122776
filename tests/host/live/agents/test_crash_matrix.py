"""A request's way to its answer, and kill -9 of real processes at each point of it: what was answered is so, once.

| point | the request is | how that is brought about |
|---|---|---|
| stream | in its stream, not read | the bridge stands still |
| lane | with the validator, not decided | the validator stands still; a later request to another family is answered |
| log | decided and recorded; the bridge does not know | the bridge stands still before the validator goes on |
| answered | answered; who asked does not know | its stream is empty |

At a point processes are killed: bridge, validator, store, or all of them (a bridge takes its store with it). Then the
answer must come to who waits for it, and again, the same, to who repeats the request. Only answers tell the test what
the state must be.

Who waits is a client, which puts its request again when its connection breaks: a store that syncs once a second keeps
up to two seconds of what it accepted in its own memory while the disk is busy, and loses that when it is killed.
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import psutil
import pytest
from crew import Crew, new_crew, program
from deadline import DEADLINE_S
from live_nodes import World, until

from engines.agents.bus import answer_key, mark_of, request_key, unmarked
from host.aism.bus_client import BusClient, find_bus
from host.live.journal.data_folder import find_logs
from host.live.journal.operations import verify

ALL = ("bridge", "validator", "store")
POINTS = ("stream", "lane", "log", "answered")
OP = "state.transition"


class Way:
    """An agent, its requests, and those who serve them."""

    def __init__(self, crew: Crew, data: str, clients: ThreadPoolExecutor) -> None:
        self.crew, self.data = crew, data
        self.seq = 0
        self.waiting: Future[str] | None = None
        self._clients = clients

    def bus(self, agent: str = "ann") -> BusClient:
        """A new connection, with an operator's rights, that puts requests of this agent."""
        return BusClient(find_bus({}, str(self.crew.root))._replace(agent=agent))

    def put(self, request_id: str, body: str) -> None:
        """Have a client ask, and return when its request is in the stream."""
        self.waiting = self._clients.submit(self.bus().ask, OP, body, request_id, 2 * DEADLINE_S)
        until(lambda: self.bus().command("XLEN", request_key("main", "ann")), "the request")

    def put_and_leave(self, request_id: str, body: str) -> None:
        """Put a request; nobody waits for its answer."""
        words = ("id", request_id, "op", OP, "body", body)
        self.bus().command("XADD", request_key("main", "ann"), "*", *words)
        until(lambda: not self.bus().command("XLEN", request_key("main", "ann")), "the answer")
        self.waiting = None

    def bring(self, request_id: str, body: str, point: str) -> None:
        """Put a request, and return when it is at this point."""
        node = self.crew.node
        if point == "stream":
            node.halt("bridge")
            self.put(request_id, body)
        elif point == "answered":
            self.put_and_leave(request_id, body)
        else:
            node.halt("validator")
            self.put(request_id, body)
            # The streams are read together, so whatever was added before this was read, too.
            self.bus("admin").ask("agent.show", '{"agent": "ann"}', f"{request_id}.later", DEADLINE_S)
        if point == "log":
            before = self.recorded()
            node.halt("bridge")
            node.go_on("validator")
            until(lambda: self.recorded() > before, "the record")

    def recorded(self) -> int:
        """How far the log of the validator is written."""
        found: list[int] = [one["position"] for one in verify(find_logs(self.data)) if one["log"] == "validator"]
        return found[0]

    def kill(self, victims: tuple[str, ...]) -> None:
        """kill -9 of these, all at once; the others go on. Returns when each has a successor."""
        before = self.pids()
        for name in victims:
            with suppress(ProcessLookupError):  # the store, by its bridge
                os.kill(before[name], signal.SIGKILL)
        for name in ("bridge", "validator"):
            if name not in victims:
                os.kill(before[name], signal.SIGCONT)
        until(lambda: all(self.pids().get(name, 0) not in (0, before[name]) for name in victims), f"other {victims}")

    def pids(self) -> dict[str, int]:
        """The processes that serve requests, as far as they run."""
        listed = self.crew.node.ps()
        found = {name: int(listed[name]["pid"]) for name in ("bridge", "validator") if listed[name]["pid"]}
        with suppress(KeyError, IndexError, psutil.NoSuchProcess):
            children = psutil.Process(found["bridge"]).children()
            found["store"] = next(iter(one.pid for one in children if "-server" in one.cmdline()[0]), 0)
        return found

    def answer(self, request_id: str, body: str, victims: tuple[str, ...]) -> str:
        """The answer, to the client that waits for it, or to somebody who waits and puts nothing; if the store died,
        which has the answer, to a client whose connection broke."""
        if self.waiting is not None:
            return self.waiting.result(2 * DEADLINE_S)
        if victims != ("validator",):
            return self.bus().ask(OP, body, request_id, DEADLINE_S)
        deadline = time.monotonic() + DEADLINE_S
        while True:
            assert time.monotonic() < deadline, f"no answer to {request_id}"
            reply: Any = self.bus().command("BLPOP", answer_key("main", "ann", request_id), 10, wait_s=10.0)
            if reply and (text := unmarked(mark_of(OP, body), reply[1].decode())) is not None:
                return text

    def run(self, point: str, victims: tuple[str, ...]) -> None:
        """A move of the agent, with these kills at this point of its way."""
        target = ("inbox", "deep_work")[self.seq % 2]
        body = json.dumps({"target": target, "context": {"bootstrap": "x", "task": "x"}})
        request_id = f"{point}.{self.seq}"
        self.bring(request_id, body, point)
        self.kill(victims)
        self.seq += 1
        text = self.answer(request_id, body, victims)
        told = json.loads(text)
        what = (point, victims, told)
        assert (told["success"], told["seq"], told["data"]["after"]) == (True, self.seq, target), what
        assert self.bus().ask(OP, body, request_id, DEADLINE_S) == text, what
        now = json.loads(self.bus().ask("state.current", "{}", f"{request_id}.now", DEADLINE_S))
        assert (now["seq"], now["data"]["state"]) == (self.seq, target), what


@pytest.fixture
def way(world: World) -> Iterator[Way]:
    """A crew with an agent whose process makes no move."""
    with new_crew(world) as crew:
        crew.add("ann", *program("steady.sh"))
        crew.until_phase("ann", "ready")
        with ThreadPoolExecutor(1) as clients:
            yield Way(crew, str(world.folder / ".enginehost" / "crew"), clients)
        crew.node.end()
        assert [one for one in verify(find_logs(str(world.folder / ".enginehost" / "crew"))) if one["finding"]] == []


def test_d1_what_is_answered_is_so_once_though_all_are_killed_at_each_point(way: Way) -> None:
    """False if a request is not answered, is answered twice in different ways, or is done twice or not at all, when all
    who serve it are killed at a point of its way."""
    for point in POINTS:
        way.run(point, ALL)


@pytest.mark.long
@pytest.mark.parametrize("victims", [ALL, *((one,) for one in ALL)], ids="-".join)
def test_d1_two_hundred_times_at_each_point(way: Way, victims: tuple[str, ...]) -> None:
    """False as above, for 200 kills of these at each of the points, mixed."""
    for number in range(200 * len(POINTS)):
        way.run(POINTS[number % len(POINTS)], victims)
