"""A small node for tests, all simulated: door, feed, worker, sequencer, dispatcher, two shards, two executors, and an
identity with its key store."""

from __future__ import annotations

from typing import Any

from engines.consensus.sequencer import SEQUENCER, Output
from engines.crypto.keys import PublicKey, SecretKey, identity_of, public_of, secret_from, sign
from engines.devices.key_store import KEY_STORE, KeyFile
from engines.execution.dispatcher import DISPATCHER, Machine
from engines.execution.executor import EXECUTOR, Pool
from engines.execution.messages import QueryAnswer
from engines.execution.nouns import cue
from engines.execution.shard import SHARD, Part
from engines.execution.transactions import WrittenTransaction
from engines.identity.node_identity import NODE_IDENTITY, IdentityRequest, IdentityShown, NodeKey
from engines.interaction.door import DOOR, House
from engines.interaction.feed import FEED, Keep
from engines.interaction.messages import Instruction, Reply, StateQuery, Submission, SubmissionQuery, Watch, signed_text
from engines.mempool.collecting import Limits
from engines.mempool.worker import WORKER
from engines.model import Ref, encode
from host.sim import World

SHARDS = ("s0", "s1")
EXECUTORS = ("e0", "e1")


class User:
    """A user with a key."""

    def __init__(self, seed: int) -> None:
        self.secret: SecretKey = secret_from(bytes([seed]) * 64, can_sign=True, can_decrypt=False)
        self.public: PublicKey = public_of(self.secret)
        self.id = identity_of(self.public)

    def instruction(self, statement: Submission | Reply, to: str = "me", *, waits: bool = True) -> Instruction:
        body = encode(statement)
        return Instruction(body, sign(self.secret, signed_text(body)), Ref(to), waits)

    def submission(self, number: int, *txs: WrittenTransaction, to: str = "me", waits: bool = True) -> Instruction:
        return self.instruction(Submission(number, txs), to, waits=waits)


def small_node(*, users: tuple[str, ...] = (), kept: int = 1_000, keep_heights: int = 256, **world: Any) -> World:
    """The node, started, with somebody outside who listens under a few names."""
    shards = tuple(map(Ref, SHARDS))
    executors = tuple(map(Ref, EXECUTORS))
    node = World(**world)
    node.add("door", DOOR, House(Ref("worker"), shards, Ref("feed"), users), durability="crash")
    node.add("feed", FEED, Keep(kept), durability="crash")
    assert KEY_STORE.twin is not None
    node.add("keys", KEY_STORE.twin, KeyFile("keys", "env:NONE", b"seed"), durability="crash")
    node.add("identity", NODE_IDENTITY, NodeKey(Ref("keys"), users=("worker",)), durability="crash")
    limits = Limits(Ref("sequencer"), Ref("dispatcher"), batch_max=8, signer=Ref("identity"), feed=Ref("feed"))
    node.add("worker", WORKER, limits, durability="crash")
    node.add("sequencer", SEQUENCER, Output(Ref("dispatcher")), durability="crash")
    node.add("dispatcher", DISPATCHER, Machine(shards, executors, keep_heights=keep_heights), durability="crash")
    for number, name in enumerate(SHARDS):
        node.add(name, SHARD, Part(Ref("dispatcher"), number, len(SHARDS)), durability="crash")
    for name in EXECUTORS:
        node.add(name, EXECUTOR, Pool(shards), durability="crash")
    for name in ("me", "asker", "watcher", "till"):
        node.received(name)
    return node


def last(node: World, name: str = "me") -> Any:
    """The last message that somebody outside got, once nothing more happens by itself."""
    node.run()
    return node.received(name)[-1]


def number_at(node: World, key: bytes, height: int = 0, user: bytes = b"") -> int | None:
    """The number under a key, or None."""
    node.send("door", StateQuery(key, Ref("asker"), height, user))
    answer = last(node, "asker")
    assert isinstance(answer, QueryAnswer), answer
    if answer.datum is None:
        return None
    noun = cue(answer.datum)
    assert isinstance(noun, int)
    return noun


def identity(node: World) -> bytes:
    """The identity of the node."""
    node.send("identity", IdentityRequest(Ref("asker")))
    answer = last(node, "asker")
    assert isinstance(answer, IdentityShown), answer
    return answer.identity


def status(node: World, user: User, number: int, *, waits: bool = False) -> Any:
    """The receipt of a submission, or a refusal."""
    node.send("door", SubmissionQuery(user.id, number, Ref("asker"), waits))
    return last(node, "asker")


def watched(node: World, after: int = 0, *keys: bytes, limit: int = 100) -> Any:
    """What the feed has after a timestamp."""
    node.send("door", Watch(Ref("watcher"), after, keys, limit, 0))
    return last(node, "watcher")
