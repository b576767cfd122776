"""A simulated node that orders and executes: worker, sequencer, dispatcher, shards and executors, with their logs."""

from __future__ import annotations

from collections.abc import Sequence

from engines.consensus.sequencer import SEQUENCER, Output
from engines.execution.dispatcher import DISPATCHER, Machine
from engines.execution.executor import EXECUTOR, Pool
from engines.execution.keyspace import shard_of
from engines.execution.messages import QueryAnswer, QueryRefused, QueryRequest, RootRequest, StateRoot
from engines.execution.shard import SHARD, Keys, Part
from engines.execution.system import contents, locks
from engines.execution.transactions import Summary, TransactionCandidate
from engines.mempool.collecting import Limits
from engines.mempool.messages import TransactionOutcome, TransactionRequest
from engines.mempool.worker import WORKER
from engines.model import Ref
from host.sim import World


class OrderingWorld:
    """The node, and what a client does with it."""

    def __init__(
        self,
        *,
        seed: int = 0,
        faults: str = "",
        shards: int = 2,
        executors: int = 2,
        batch_max: int = 4,
        keep_heights: int = 256,
        places: int = 0,
    ) -> None:
        self.world = World(seed=seed, faults=faults)
        self.shards = tuple(f"shard{number}" for number in range(shards))
        runners = tuple(f"executor{number}" for number in range(executors))
        limits = Limits(Ref("sequencer"), Ref("dispatcher"), batch_max=batch_max)
        self.add("worker", WORKER, limits)
        self.add("sequencer", SEQUENCER, Output(Ref("dispatcher")))
        machine = Machine(tuple(map(Ref, self.shards)), tuple(map(Ref, runners)), keep_heights=keep_heights)
        self.add("dispatcher", DISPATCHER, machine)
        for number, name in enumerate(self.shards):
            self.add(name, SHARD, Part(Ref("dispatcher"), number, shards))
        for name in runners:
            self.add(name, EXECUTOR, Pool(tuple(map(Ref, self.shards))))

    def add(self, name: str, family: object, config: object) -> None:
        self.world.add(name, family, config, durability="crash")  # type: ignore[arg-type]

    def submit(self, *txs: TransactionCandidate, client: str = "client") -> None:
        """One request with these transactions."""
        self.world.send("worker", TransactionRequest(txs, Ref(client)), sender=client)

    def run(self, *txs: TransactionCandidate) -> list[Summary]:
        """The outcomes of one request, in order of timestamps, once nothing is left to happen."""
        before = len(self.outcomes())
        self.submit(*txs)
        self.world.run()
        return sorted(self.outcomes()[before:], key=lambda one: one.timestamp)

    def outcomes(self, client: str = "client") -> list[Summary]:
        """The outcomes that a client was sent, in order of arrival."""
        messages = self.world.received(client)
        return [one for message in messages if isinstance(message, TransactionOutcome) for one in message.outcomes]

    def query(self, key: bytes, height: int = 0) -> bytes | str | None:
        """The value of a key at a height; a text says why there is none."""
        self.world.send(
            f"shard{shard_of(key, len(self.shards))}", QueryRequest(key, Ref("asker"), height), sender="asker"
        )
        self.world.run()
        [*_, answer] = self.world.received("asker")
        assert isinstance(answer, QueryAnswer | QueryRefused)
        return answer.reason if isinstance(answer, QueryRefused) else answer.datum

    def root(self, height: int = 0) -> bytes:
        """The state root of a height."""
        self.world.send("dispatcher", RootRequest(Ref("asker"), height), sender="asker")
        self.world.run()
        [*_, answer] = self.world.received("asker")
        assert isinstance(answer, StateRoot)
        return answer.root

    def keys(self) -> list[Keys]:
        """The states of all shards."""
        return [self.world.state(name) for name in self.shards]

    def contents(self) -> dict[bytes, bytes]:
        """The newest value of each key."""
        return contents(self.keys())

    def locks(self) -> int:
        """Locks and reads that are left."""
        return locks(self.keys())


def in_order(
    summaries: Sequence[Summary], txs: Sequence[TransactionCandidate], names: Sequence[bytes]
) -> list[TransactionCandidate]:
    """The transactions in the order of their timestamps."""
    by_name = dict(zip(names, txs, strict=True))
    return [by_name[one.tx_hash] for one in sorted(summaries, key=lambda one: one.timestamp)]
