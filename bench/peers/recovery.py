"""This project: `kill -9` of an engine's process on a running node, until its next message is handled.

The clock runs from the kill to the answer, here: death noticed, restart, log read and run again, message handled,
answer released. The message is an order for one more record, so a device and the command's socket lie in the figure
too. One that comes while the supervisor knows that nobody is there is refused, and sent again at once.
Restarts are immediate (`backoff_ns: 0`): a pause that the policy asks for is no part of a recovery.
"""

from __future__ import annotations

import os
import signal
import statistics
import tempfile
import time
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Final

from bench.live_node import exchange, live_node
from bench.record import written_record
from bench.rounds import Contestant, Round
from host.live.control.client import Client
from host.live.control.protocol import ControlError

NODE: Final = """
node: bench-recover
data: {data}
supervision: {{intensity: off, budget: off, backoff_ns: 0}}
engines:
  source: {{family: "engines.benchmark.source:SOURCE"}}
  sink: {{family: "engines.benchmark.oneway:SINK", durability: {mode}, count: {kills}}}
"""

KILLS: Final = 5
"""Engines that each have their turns behind them, and are killed one after the other, in a round."""

ORDER_TURNS: Final = 1
"""Of an order: the turn that takes it. The records are one each."""

SETTLED_NS: Final = 10_000_000_000
"""Bound of a snapshot that is being written."""
BACK_NS: Final = 30_000_000_000
"""Bound of a recovery."""
POLL_S: Final = 0.002
EVENTS: Final = 1000


def killed(mode: str, turns: int, peer: str) -> Contestant:
    """Nanoseconds from a kill to the next answer, with `turns` to run again; a fresh node a round, so none is saved."""

    def run() -> Round:
        with tempfile.TemporaryDirectory(prefix="enginehost-bench-") as data, _node(data, mode, KILLS) as client:
            sinks = [f"sink.{number}" for number in range(1, KILLS + 1)]
            for sink in sinks:
                _order(client, sink, max(turns - ORDER_TURNS, 1))
            taken_ns = [_answered_after_kill(client, sink) for sink in sinks]
            return Round(sorted(taken_ns)[KILLS // 2], KILLS, taken_ns, _recoveries(client))

    return Contestant(peer, run)


def killed_without_snapshots(turns: int, peer: str) -> Contestant:
    """The same for an engine whose log has `turns` from its birth on, and no snapshot: all are run again each time.

    The node writes snapshots, as ever. While the process is stopped, just before its kill, they are removed, and the
    segments that were archived for their sake get back the names of segments in force.
    """
    stack, clients = ExitStack(), list[Client]()
    data = stack.enter_context(tempfile.TemporaryDirectory(prefix="enginehost-bench-"))

    def run() -> Round:
        if not clients:
            clients.append(stack.enter_context(_node(data, "crash", 1)))
            _order(clients[0], "sink.1", max(turns - ORDER_TURNS, 1))
        (client,) = clients
        pid = _pid(client, "sink.1")
        os.kill(pid, signal.SIGSTOP)
        _await_children(pid)
        _without_snapshots(Path(data, "journal", "sink.1"))
        taken_ns = _answered_after_kill(client, "sink.1")
        return Round(taken_ns, 1, (taken_ns,), _recoveries(client))

    return Contestant(peer, run, stack.close, rounds=3)


def _node(data: str, mode: str, kills: int) -> AbstractContextManager[Client]:
    return live_node(NODE.format(data=data, mode=mode, kills=kills))


def _order(client: Client, sink: str, records: int) -> None:
    """Have so many records handled. Raises AssertionError when the engine saw others."""
    order = {"count": records, "source": "source", "record": written_record()}
    seen = exchange(client, sink, "Reset", order, wait="Seen")["count"]
    if seen != records:
        raise AssertionError(f"{sink} saw {seen} of {records}")


def _answered_after_kill(client: Client, sink: str) -> int:
    pid = _pid(client, sink)
    began_ns = time.monotonic_ns()
    os.kill(pid, signal.SIGKILL)
    while True:
        try:
            _order(client, sink, 1)
            return time.monotonic_ns() - began_ns
        except ControlError as error:
            if error.error != "not_ready" or time.monotonic_ns() - began_ns > BACK_NS:
                raise


def _pid(client: Client, engine: str) -> int:
    return int(next(item["pid"] for item in client.request("ps").items if item["engine"] == engine))


def _recoveries(client: Client) -> dict[str, float]:
    """Of the node's recoveries so far, in the median: turns that were run again, and nanoseconds for log and turns."""
    found = [item for item in client.request("events", {"limit": EVENTS}).items if item["kind"] == "recovered"]
    if not found:
        return {}
    return {
        "replayed": statistics.median(item["replayed"] for item in found),
        "replay_ns": statistics.median(item["took_ns"] for item in found),
    }


def _await_children(pid: int) -> None:
    """Until the children of a stopped process have ended: one writes a snapshot. Raises TimeoutError."""
    deadline_ns = time.monotonic_ns() + SETTLED_NS
    while any(map(_is_alive, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())):
        if time.monotonic_ns() > deadline_ns:
            raise TimeoutError(f"a child of process {pid} still runs after {SETTLED_NS / 1e9:g} s")
        time.sleep(POLL_S)


def _is_alive(pid: str) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def _without_snapshots(folder: Path) -> None:
    for snapshot in folder.glob("*.snap"):
        snapshot.unlink()
    for archived in folder.glob("*.arc"):
        archived.rename(archived.with_suffix(".log"))
