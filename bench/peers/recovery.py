"""enginehost: time from `kill -9` of an engine's process on a running node until its next message is handled.

The clock in this process runs from the kill to the answer. It includes the detection of the death, the restart, the
replay of the log, the handling of the message, and the release of the answer. The message is an order for one more
record, so the figure also includes a device and the command's socket. A message that arrives while the supervisor has
no process for the engine is refused, and sent again at once.

Restarts are immediate (`backoff_ns: 0`), because a pause of the restart policy is not part of a recovery.
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
"""Engines per round; each handles its turns, then they are killed one after the other."""

ORDER_TURNS: Final = 1
"""Turns of an order itself; each of its records is one more."""

SETTLED_NS: Final = 10_000_000_000
"""Bound of the wait for a snapshot in progress."""
BACK_NS: Final = 30_000_000_000
"""Bound of a recovery."""
POLL_S: Final = 0.002
EVENTS: Final = 1000


def killed(mode: str, turns: int, peer: str) -> Contestant:
    """Nanoseconds from a kill to the next answer, with `turns` to replay; each round has a fresh node."""

    def run() -> Round:
        with tempfile.TemporaryDirectory(prefix="enginehost-bench-") as data, _node(data, mode, KILLS) as client:
            sinks = [f"sink.{number}" for number in range(1, KILLS + 1)]
            for sink in sinks:
                _order(client, sink, max(turns - ORDER_TURNS, 1))
            taken_ns = [_answered_after_kill(client, sink) for sink in sinks]
            return Round(sorted(taken_ns)[KILLS // 2], KILLS, taken_ns, _recoveries(client))

    return Contestant(peer, run)


def killed_without_snapshots(turns: int, peer: str) -> Contestant:
    """The same for an engine with `turns` since its birth and no snapshot, so each recovery replays all of them.

    The node writes snapshots as usual. Just before the kill, while the process is stopped, this removes the snapshots
    and gives the archived segments their original names back.
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
    """Let the engine handle `records` records. Raises AssertionError if it saw another number."""
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
    """Medians over the node's recoveries so far: replayed turns, and nanoseconds for log and turns."""
    found = [item for item in client.request("events", {"limit": EVENTS}).items if item["kind"] == "recovered"]
    if not found:
        return {}
    return {
        "replayed": statistics.median(item["replayed"] for item in found),
        "replay_ns": statistics.median(item["took_ns"] for item in found),
    }


def _await_children(pid: int) -> None:
    """Wait until the children of a stopped process have ended: one may write a snapshot. Raises TimeoutError."""
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
