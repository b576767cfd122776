"""`configs/node.yaml` live: signed transactions, while processes are killed and reloaded."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from deadline import DEADLINE_NS
from live_nodes import LiveNode, World, until
from msgspec.structs import replace

from engines.crypto.keys import SecretKey, identity_of, public_of, secret_from
from engines.execution.programs import candidate
from engines.interaction.client import number_of, signed_fields
from engines.interaction.messages import Submission
from engines.mempool.acknowledgement import is_acknowledged_by
from engines.mempool.messages import TransactionAck
from host.config.convert import to_typed
from host.config.load import load_node
from host.config.spec import NodeSpec, SupervisionSpec
from host.live.control.protocol import ControlError

CONFIG = Path(__file__).resolve().parents[3] / "configs" / "node.yaml"
FREE = SupervisionSpec(intensity=None, backoff_ns=0, budget=None)
ALICE: SecretKey = secret_from(bytes([7]) * 64, can_sign=True, can_decrypt=False)
USER = identity_of(public_of(ALICE))


def node_spec(world: World) -> NodeSpec:
    """The node of the config, with its data in the folder of the test; killed processes come back at once."""
    spec = load_node(str(CONFIG))
    path = world.folder / "node.yaml"
    path.touch()
    return replace(spec, path=str(path), data=str(world.folder / "data"), supervision=FREE)


def asked(node: LiveNode, tag: str, wait: str, engine: str = "door", **fields: Any) -> dict[str, Any]:
    """The answer of the door, or of another engine."""
    written = {name: ["bytes" if isinstance(value, bytes) else "json", value] for name, value in fields.items()}
    args = {"engine": engine, "mailbox": 0, "tag": tag, "fields": written, "wait": wait, "timeout_ns": DEADLINE_NS}
    answer: dict[str, Any] = node.client.request("send", args, timeout_ns=2 * DEADLINE_NS).items[0]
    return answer


def submit(node: LiveNode, number: int, key: bytes, count: int = 1, *, waits: bool = True) -> dict[str, Any]:
    """A submission of so many increments of a key."""
    txs = tuple(replace(candidate("increment", key), nonce=f"{number} {one}".encode()) for one in range(count))
    body, commitment = signed_fields(ALICE, Submission(number, txs))
    fields = {"body": body, "commitment": commitment, "waits": waits}
    return asked(node, "Instruction", "Receipt|Refusal", **fields)


def acknowledgement(receipt: dict[str, Any]) -> TransactionAck:
    """What a receipt was acknowledged with."""
    fields = {name: field for name, field in receipt["ack"].items() if name != "type"}
    made: TransactionAck = to_typed(fields, TransactionAck)
    return made


def value(node: LiveNode, key: bytes) -> int | None:
    """The number under a key, with all that was answered to the user."""
    answer = asked(node, "StateQuery", "QueryAnswer|QueryRefused", key=key, height=0, user=USER)
    return None if answer["datum"] is None else number_of(bytes.fromhex(answer["datum"][2:]))


@pytest.mark.storm
def test_what_was_answered_is_there_after_a_kill_of_everything(world: World) -> None:
    """False if an acknowledged transaction were gone, or there twice, after all processes of the node were killed."""
    spec = node_spec(world)
    with world.up(spec) as node:
        for number in range(3):
            assert submit(node, number, b"a", 5)["is_done"]
        for pid in world.processes():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    with world.up(spec) as node:
        assert value(node, b"a") == 15
        assert submit(node, 2, b"a", 5)["is_done"]
        assert value(node, b"a") == 15
        assert submit(node, 3, b"a")["outcomes"][0]["timestamp"] == 16


@pytest.mark.storm
def test_whoever_is_killed_under_load_each_transaction_counts_once(world: World) -> None:
    """False if a kill of any process, or a reload of the executors, lost or doubled a transaction under load."""
    with world.up(node_spec(world)) as node:
        engines = sorted(node.ps())
        accepted: dict[int, int] = {}
        for number in range(60):
            count = 1 + number % 7
            with suppress(ControlError):  # of a process that was killed with the request
                submit(node, number, b"ab"[number % 2 :][:1], count, waits=False)
            accepted[number] = count
            if number % 3 == 0:
                victim = node.ps().get(engines[number // 3 % len(engines)], {}).get("pid")
                if victim:
                    with suppress(ProcessLookupError):
                        os.kill(victim, signal.SIGKILL)
            if number % 20 == 10:
                until(lambda: node.ps()["executor-0"]["state"] == "running", "the executors")
                with suppress(ControlError):  # of a process that is killed meanwhile
                    node.ask("reload", engine="executor-0")
        until(lambda: set(node.states().values()) <= {"running", "device"}, "all engines")
        for number, count in accepted.items():
            receipt = submit(node, number, b"ab"[number % 2 :][:1], count)
            assert receipt["is_done"], receipt
            assert [one["error"] for one in receipt["outcomes"]] == [""] * count
        for key, odd in ((b"a", 0), (b"b", 1)):
            assert value(node, key) == sum(count for number, count in accepted.items() if number % 2 == odd)


def test_acknowledgements_are_signed_by_the_node(world: World) -> None:
    """False if a client could not verify with the node's identity that its transactions were taken, before or after the
    key store was killed; or while that is missing no transaction came through."""
    with world.up(node_spec(world)) as node:
        shown = asked(node, "IdentityRequest", "IdentityShown", "identity")
        identity = bytes.fromhex(shown["identity"][2:])
        for number in range(2):
            receipt = submit(node, number, b"a", 2)
            assert is_acknowledged_by(identity, acknowledgement(receipt))
            os.kill(node.ps()["keys"]["pid"], signal.SIGKILL)
            assert submit(node, 10 + number, b"a")["is_done"]
            until(lambda: node.ps()["keys"]["state"] == "device", "the key store")
        assert value(node, b"a") == 6
