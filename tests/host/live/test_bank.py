"""A bank whose processes are killed at random while money moves: none is lost, none is made."""

from __future__ import annotations

import os
import random
import signal
import time
from contextlib import suppress
from typing import Any

import pytest
from deadline import DEADLINE_S
from live_nodes import LiveNode, World, until

from engines.model import load_family
from host.config.spec import EngineSpec, SupervisionSpec
from host.live.control.protocol import ControlError
from host.live.journal.data_folder import find_logs
from host.live.journal.folder import Folder
from host.live.journal.recovery import boot_id, recover

FREE = SupervisionSpec(intensity=None, backoff_ns=0, budget=None)
ACCOUNTS = ("a", "b", "c", "d")
BALANCE = 1_000_000
PAUSE_S = 0.05
SPREE = 20


class Bank:
    """Four accounts and a teller, each in a process of its own, all with a journal."""

    def __init__(self, node: LiveNode, transfers: int, seed: int) -> None:
        self.node = node
        self.transfers = transfers
        self.kills = 0
        self._pids: dict[str, int] = {}
        self._chance = random.Random(seed)
        self._next_kill = time.monotonic()

    def run(self) -> None:
        """All transfers, with a kill each `PAUSE_S`."""
        for first in range(1, self.transfers + 1, SPREE):
            self.node.send("teller", "Spree", accounts=ACCOUNTS, first=first, count=SPREE)
            while time.monotonic() < self._next_kill:
                self.credited()
            self.kill()
        most, deadline = 0, time.monotonic() + DEADLINE_S
        while (credited := self.credited()) < self.transfers:
            if credited > most:
                most, deadline = credited, time.monotonic() + DEADLINE_S
            assert time.monotonic() < deadline, f"{credited} of {self.transfers} transfers after {self.kills} kills"
            self.kill()

    def kill(self) -> None:
        """One process of the bank, at random, if it is time."""
        if time.monotonic() < self._next_kill:
            return
        self._next_kill = time.monotonic() + PAUSE_S
        name = self._chance.choice([*ACCOUNTS, "teller"])
        pid = self.node.ps()[name]["pid"]
        if pid:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                self.kills += 1

    def book(self, name: str) -> dict[str, Any]:
        """The state of an account, {} while it does not answer."""
        try:
            found: dict[str, Any] = self.node.ask("state", engine=name)[0]["state"]
        except ControlError:
            return {}
        return found

    def credited(self) -> int:
        """Credits so far, of accounts that answer."""
        return sum(self.book(name).get("credited", 0) for name in ACCOUNTS)


def spec_of(world: World, mode: Any) -> Any:
    accounts = [EngineSpec(name, "lasting:ACCOUNT", durability=mode) for name in ACCOUNTS]
    return world.spec(*accounts, EngineSpec("teller", "lasting:TELLER", durability=mode), supervision=FREE)


def check(bank: Bank) -> None:
    """Sums are what they were, each transfer counts once on both sides, and each sender's came in order."""
    books = [bank.book(name) for name in ACCOUNTS]
    assert sum(book["balance"] for book in books) == BALANCE * len(ACCOUNTS)
    assert sum(book["sent"] for book in books) == bank.transfers
    assert sum(book["credited"] for book in books) == bank.transfers
    assert [book["disordered"] for book in books] == [0] * len(ACCOUNTS)
    print(f"{bank.transfers} transfers, {bank.kills} kills")


@pytest.mark.parametrize("mode", ["crash", "durable"])
@pytest.mark.storm
def test_a_bank_survives_kills_of_its_workers(world: World, mode: str) -> None:
    """A transfer is lost, applied twice, or overtakes another: 600 transfers."""
    with world.up(spec_of(world, mode)) as node:
        bank = Bank(node, 600, seed=7)
        bank.run()
        assert bank.kills >= 20
        check(bank)


@pytest.mark.long
@pytest.mark.parametrize("mode", ["crash", "durable"])
def test_a_bank_survives_many_kills_of_its_workers(world: World, mode: str) -> None:
    """As above: 10,000 transfers."""
    with world.up(spec_of(world, mode)) as node:
        bank = Bank(node, 10_000, seed=11)
        bank.run()
        assert bank.kills >= 100
        check(bank)


def unacked(world: World) -> int:
    """Outputs that the logs of a node that is down would send again."""
    roots = (str(world.roots),)
    logs = find_logs(str(world.folder / "test"))
    found = [
        recover(Folder(path), "test", lambda ref: load_family(ref, roots), boot_id()) for path in logs.folders.values()
    ]
    streams = [stream for one in found for stream in one.replay.streams.values()]
    assert len(streams) == len(ACCOUNTS) + 1
    return sum(len(outputs) for stream in streams for outputs in stream.kept.unacked.values())


@pytest.mark.storm
@pytest.mark.parametrize("mode", ["crash", "durable"])
def test_a_bank_survives_kills_of_everything(world: World, mode: str) -> None:
    """A transfer that was under way is lost or made again: 5 kills of all processes; and what is kept is bounded."""
    spec = spec_of(world, mode)
    for life in range(5):
        with world.up(spec) as node:
            for spree in range(3):
                first = 1 + SPREE * (3 * life + spree)
                node.send("teller", "Spree", accounts=ACCOUNTS, first=first, count=SPREE)
            for pid in world.processes():
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            until(lambda: not world.processes(), "the end of all processes")
    with world.up(spec) as node:
        bank = Bank(node, 15 * SPREE, seed=0)
        until(lambda: bank.credited() == bank.transfers, "all transfers")
        check(bank)
        node.end()
    assert unacked(world) <= 3 * SPREE, "more than what the last life but one had under way"
