"""enginehost: the longest wait of a client for an answer while the code of its server is replaced.

With *idle* nothing is reloaded, for as long as a reload takes, and a *trial* stops before the cut: so much of the wait
is the machine's, and that of the work beside the old process.

The client (`engines.benchmark.reload`) is a process of its own and measures with its own clock. The server's source is
written anew for each reload, with another version in it and the same rules, so the state is converted, not migrated.
"""

from __future__ import annotations

import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final, Literal

from bench.live_node import ROUND_NS, exchange, live_node
from bench.peers.stop_and_copy import ENTRY_BYTES, RATE
from bench.rounds import Contestant, Round
from host.live.control.client import Client

SOURCE: Final = """
from engines.benchmark.reload import Answer, Ask, Fill, Filled, Store, answer, fill
from engines.model import Family

VERSION = {version}
SERVER = Family("asked-server", state=Store(), accepts=Ask | Fill, emits=Answer | Filled).rules(answer, fill)
"""
NODE: Final = """
node: bench-reload
roots: [{root}]
data: {root}/data
engines:
  server: {{family: "asked:SERVER", durability: {mode}, mailboxes: {{0: {{capacity: {capacity}}}}}}}
  client: {{family: "engines.benchmark.reload:CLIENT"}}
placement: {{default: process}}
"""
ORDER: Final = {"engine": "server", "timeout_ns": ROUND_NS, "rehearse": 1_000}
SETTLE_S: Final = 0.1
"""Between two reloads: the waits of one are not those of the next."""
POLL_S: Final = 0.01
IDLE_S: Final = 0.5
"""About as long as a reload takes."""

What = Literal["reload", "trial", "idle"]
"""What the bench does while the client asks."""


def reloaded(
    peer: str, reloads: int, mode: str, state_bytes: int, waiting: int = 0, what: What = "reload"
) -> Contestant:
    """The longest wait of each reload; `waiting` 0: at `RATE` questions a second, otherwise as fast as it goes."""
    stack, benches = ExitStack(), list[_Bench]()

    def run() -> Round:
        if not benches:
            benches.append(_Bench(stack, mode, state_bytes, waiting, what))
            return benches[0].round(1)  # the warm-up, of which nothing is counted
        return benches[0].round(reloads)

    return Contestant(peer, run, stack.close)


class _Bench:
    """A node with a full server, and the client that asks it."""

    def __init__(self, stack: ExitStack, mode: str, state_bytes: int, waiting: int, what: What) -> None:
        root = stack.enter_context(tempfile.TemporaryDirectory(prefix="enginehost-bench-"))
        self._source, self._version, self._waiting, self._what = Path(root, "asked.py"), 0, waiting, what
        self._write_version()
        node = NODE.format(root=root, mode=mode, capacity=max(10_000, waiting * 2))
        self._client: Client = stack.enter_context(live_node(node))
        fields = {"entries": state_bytes // ENTRY_BYTES, "size_bytes": ENTRY_BYTES}
        exchange(self._client, "server", "Fill", fields, wait="Filled")

    def round(self, reloads: int) -> Round:
        """So many reloads under load. Raises AssertionError if a question was lost, doubled or overtaken."""
        load = {"rate": 0 if self._waiting else RATE, "waiting": self._waiting}
        exchange(self._client, "client", "Begin", {"server": "server", **load})
        while self._look()["asked"] < max(self._waiting, 1):
            time.sleep(POLL_S)
        taken_ns, pauses_ns, before = [], [], time.monotonic_ns()
        asked = self._look()["answered"]
        for _ in range(reloads):
            self._write_version()
            time.sleep(SETTLE_S)
            self._look()
            pauses_ns.append(self._pause_ns())
            taken_ns.append(self._longest_ns())
        rate = (self._look()["answered"] - asked) * 1e9 / (time.monotonic_ns() - before)
        self._end()
        middle = sorted(taken_ns)[reloads // 2]
        return Round(middle, reloads, taken_ns, {"pause_ns": sorted(pauses_ns)[reloads // 2], "answers_per_s": rate})

    def _pause_ns(self) -> int:
        """Reload, try a reload, or wait. Returns the pause, or the one that a trial expects, in nanoseconds."""
        if self._what == "idle":
            time.sleep(IDLE_S)
            return 0
        order = {**ORDER, "is_trial": self._what == "trial"}
        return int(self._client.request("reload", order, timeout_ns=2 * ROUND_NS).items[0].get("pause_ns", 0))

    def _longest_ns(self) -> int:
        """The longest wait since the last look, once the client was answered again."""
        waits = self._look()
        longest_ns, answered = int(waits["longest_ns"]), waits["answered"]
        while waits["answered"] == answered:
            time.sleep(SETTLE_S)
            waits = self._look()
            longest_ns = max(longest_ns, int(waits["longest_ns"]))
        return longest_ns

    def _end(self) -> None:
        waits = self._look(ends=True)
        while waits["answered"] < waits["asked"]:
            time.sleep(POLL_S)
            waits = self._look(ends=True)
        if waits["wrong"]:
            raise AssertionError(f"{waits['wrong']} of {waits['asked']} answers out of order")

    def _look(self, *, ends: bool = False) -> dict[str, Any]:
        return exchange(self._client, "client", "Look", {"ends": ends}, wait="Waits")

    def _write_version(self) -> None:
        self._version += 1
        self._source.write_text(SOURCE.format(version=self._version))
