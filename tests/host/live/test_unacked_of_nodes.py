"""`journal: {unacked_bytes}` on a live node: what a receiver that stands still costs its sender, and what not."""

from __future__ import annotations

import os
import signal
from typing import Any

import pytest
from live_nodes import LiveNode, World, until

from host.config.spec import UNACKED_BYTES_MIN, EngineSpec, JournalSpec, SupervisionSpec, TransportSpec
from host.live.journal.data_folder import log_folder
from host.live.journal.recovery import boot_id, recover
from host.live.worker.loading import loader
from host.node.cycle import CYCLE_MESSAGES_MAX

FREE = SupervisionSpec(intensity=None, backoff_ns=0, budget=None)
BOUND = UNACKED_BYTES_MIN
OUTPUT_BYTES_MAX = 40
"""Of one credit, encoded."""
TRANSFERS = 20_000


def book(node: LiveNode, engine: str) -> dict[str, Any]:
    found: dict[str, Any] = node.ask("state", engine=engine)[0]["state"]
    return found


def unacked(world: World, engine: str) -> list[tuple[int, int]]:
    """Numbers and lengths of what a log says is unacknowledged."""
    folder = log_folder(str(world.folder / "test"), engine)
    found = recover(folder, "test", loader((str(world.roots),), check=False), boot_id())
    return [(n, len(payload)) for queue in found.replay.streams[engine].kept.unacked.values() for n, payload in queue]


def rest(node: LiveNode, engine: str) -> int:
    """How many transfers an engine sent, once that rises no more over some looks."""
    looks = [0]

    def same() -> bool:
        looks.append(book(node, engine)["sent"])
        return looks[-1] > 0 and len(looks) > 20 and len(set(looks[-20:])) == 1

    until(same, f"{engine} to stand still")
    return looks[-1]


@pytest.mark.storm
@pytest.mark.parametrize("mode", ["crash", "durable"])
@pytest.mark.parametrize("local", ["auto", "zmq"])
def test_a_receiver_that_stands_still_bounds_its_sender(world: World, mode: Any, local: Any) -> None:
    """False if a sender kept all it sent, never went on, or lost, repeated or reordered a message over it."""
    accounts = [EngineSpec(name, "lasting:ACCOUNT", durability=mode) for name in "ab"]
    teller = EngineSpec("teller", "lasting:TELLER")
    rest_of = {"journal": JournalSpec(unacked_bytes=BOUND), "transport": TransportSpec(local=local)}
    with world.up(world.spec(*accounts, teller, supervision=FREE, **rest_of)) as node:
        node.send("teller", "Spree", accounts=["a", "b"], first=1, count=10)
        until(lambda: book(node, "a")["credited"] == book(node, "b")["credited"] == 5, "the first transfers")
        b = node.ps()["b"]["pid"]
        os.kill(b, signal.SIGSTOP)
        try:
            for first in range(11, TRANSFERS, 1_000):
                node.send("teller", "Spree", accounts=["a", "b"], first=first, count=1_000)
            sent = rest(node, "a")
            kept = unacked(world, "a")
            assert sent < TRANSFERS // 2, "the sender took no notice"
            assert BOUND < sum(size for _, size in kept) <= BOUND + CYCLE_MESSAGES_MAX * OUTPUT_BYTES_MAX
            assert rest(node, "a") == sent
        finally:
            os.kill(b, signal.SIGCONT)
        total = (TRANSFERS + 10) // 2
        until(lambda: book(node, "a")["sent"] == book(node, "b")["sent"] == total, "all to be sent", 30)
        until(lambda: book(node, "a")["credited"] == book(node, "b")["credited"] == total, "all to arrive", 30)
        books = [book(node, name) for name in "ab"]
        assert [one["disordered"] for one in books] == [0, 0]
        assert sum(one["balance"] for one in books) == 2_000_000
        assert node.ask("dead_letters") == []
        until(lambda: not unacked(world, "a"), "the last acknowledgement")
