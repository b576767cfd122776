"""Identities on a node: keys, delegations and names outlive its processes; and no secret leaves the key store."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest
from deadline import DEADLINE_S
from live_node import CONFIGS, CommandError, LiveNode, live_node
from nacl import bindings
from simulated_node import SimulatedNode

from engines.crypto.key_disk import open_keys
from engines.crypto.key_file import derivation_of
from engines.crypto.keys import PublicKey, Signed, is_valid
from engines.identity.delegation import Edge, Relation, signed_bytes
from engines.identity.naming import signed_name
from engines.model import view

PASSPHRASE = "correct horse battery staple"
CONFIG = CONFIGS / "identity.yaml"
FOREVER_NS = 2**62


@pytest.fixture(autouse=True)
def passphrase(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENGINEHOST_PASSPHRASE", PASSPHRASE)


@pytest.fixture(params=["process", "simulated"])
def node(request: pytest.FixtureRequest) -> Iterator[LiveNode]:
    """The node, live or simulated."""
    if request.param == "simulated":
        yield cast(LiveNode, SimulatedNode(CONFIG, 1))
        return
    with live_node(CONFIG, "process") as live:
        yield live


def text(value: Any) -> str:
    """A value as an argument of `send`."""
    shown = view(value)
    return shown if isinstance(shown, str) else json.dumps(shown)


def unhex(shown: str) -> bytes:
    return bytes.fromhex(shown.removeprefix("0x"))


class Person:
    """An identity on a node."""

    def __init__(self, node: LiveNode, name: str) -> None:
        self.node = node
        self.ready = node.ask("identities", "Generate", "IdentityReady", name=name)
        self.identity = unhex(self.ready["identity"])
        self.key = msgspec.convert(
            {name: unhex(part) for name, part in self.ready["key"].items() if name != "type"}, PublicKey
        )

    def sign(self, data: bytes) -> Signed:
        """A commitment of the node's commitment engine."""
        answer = self.node.ask(self.ready["commitment"], "Commit", "DataSigned", data=text(data))
        signed = Signed(self.key, unhex(answer["signed"]["signature"]))
        assert is_valid(signed, data)
        return signed

    def delegate(self, to: Person, sequence: int, relation: Relation = "signs-for", is_revoked: bool = False) -> None:
        """Submit evidence that `to` acts for this person, or not any more."""
        edge = Edge(relation, to.key, self.identity, sequence, FOREVER_NS, is_revoked)
        evidence = {"edge": view(edge), "proof": view(self.sign(signed_bytes(edge)))}
        self.node.ask(relation, "SubmitEvidence", "EvidenceAccepted", evidence=json.dumps(evidence))


def signs_for(node: LiveNode, delegate: Person, principal: Person) -> bool:
    """Whether a commitment of the one is verified for the other."""
    commitment = text(delegate.sign(b"data"))
    fields = {"data": text(b"data"), "commitment": commitment, "identity": text(principal.key), "use_signs_for": "true"}
    answer = node.ask("verification", "Verify", "Verified", **fields)
    assert answer["problem"] == ""
    return bool(answer["is_valid"])


def test_delegations_and_names(node: LiveNode) -> None:
    """False if on a node A, by way of B, does not sign and read for C until that is revoked; or a name is not found."""
    alice, bob, carol = (Person(node, name) for name in ("alice", "bob", "carol"))
    assert not signs_for(node, alice, carol)
    bob.delegate(alice, 1)
    carol.delegate(bob, 1)
    assert signs_for(node, alice, carol)
    assert not signs_for(node, carol, alice)
    carol.delegate(bob, 2, is_revoked=True)
    assert not signs_for(node, alice, carol)

    carol.delegate(alice, 1, "reads-for")
    fields = {"data": text(b"for carol"), "identity": text(carol.key), "use_reads_for": "true"}
    sealed = dict(node.ask("encryption", "Encrypt", "DataSealed", **fields)["sealed"])
    assert set(sealed) == {alice.ready["identity"], carol.ready["identity"]}
    for reader in (alice, carol):
        box = sealed[reader.ready["identity"]]
        opened = node.ask(reader.ready["decryption"], "Decrypt", "SealedOpened", sealed=box)
        assert unhex(opened["data"]) == b"for carol"

    proof = view(alice.sign(signed_name(alice.identity, "bob", bob.identity)))
    link = {"parent": text(alice.identity), "label": "bob", "target": text(bob.identity), "proof": proof}
    node.ask("naming", "SubmitName", "NameAccepted", link=json.dumps(link))
    name = json.dumps({"type": "DotName", "parent": text(alice.identity), "label": "bob"})
    assert node.ask("naming", "Resolve", "Resolved", name=name)["target"] == bob.ready["identity"]


@pytest.mark.storm
def test_keys_outlive_their_processes_and_no_secret_leaves_them() -> None:
    """False if a key is lost with a process, or a secret is in a file of the node, or in what a command prints."""
    with live_node(CONFIG, "process") as node:
        folder = node.config.parent
        alice, bob = Person(node, "alice"), Person(node, "bob")
        bob.delegate(alice, 1)
        limits = Path(f"/proc/{node.engines()['keys']['pid']}/limits").read_text(encoding="utf-8")
        assert re.search(r"Max core file size +0 +0 ", limits)

        for name in ("keys", "identities", "signs-for", "verification"):
            kill(node, name, signal.SIGSEGV if name == "keys" else signal.SIGKILL)
            alice.sign(b"after")
        assert signs_for(node, alice, bob)
        with pytest.raises(CommandError, match="damaged"):
            node.ask(alice.ready["decryption"], "Decrypt", "SealedOpened", sealed="0x00")
        carol = Person(node, "carol")
        secrets = secrets_of(folder / ".enginehost" / "keys")
        node.ask("identities", "Delete", "IdentityDeleted", identity=carol.ready["identity"])
        with pytest.raises(CommandError):
            carol.sign(b"x")

        looks = [(*look, engine) for engine in node.engines() for look in (("state", "get"), ("mailbox",), ("timers",))]
        commands = ["ps", "events", "logs", "dead-letters", "quarantine ls", "journal dump", "history identities"]
        printed = [*(seen(node, *look) for look in looks), *(shown(node, *command.split()) for command in commands)]
        node.run("journal", "export", str(folder / "export.tar"))
        node.run_apart("down")
        printed.append(shown(node, "chart"))
        node.run_apart("up", "-d")
        alice.sign(b"in the next life")

        assert all(printed)
        assert found(secrets, [*files(folder), *printed]) == []
        leak = b64encode(b"ab" + secrets[0] + b"cd").decode()
        (folder / "leak.json").write_text(json.dumps({"key": leak}), encoding="utf-8")
        assert found(secrets, files(folder)) == [0], "the search finds what is there"


def kill(node: LiveNode, name: str, number: signal.Signals) -> None:
    """Kill the process of an engine, and wait for the next one."""
    before = node.engines()[name]["pid"]
    os.kill(before, number)
    node.until(f"{name} again", lambda: node.engines()[name]["pid"], lambda pid: bool(pid != before))


def seen(node: LiveNode, *arguments: str) -> bytes:
    """As `shown`, without a process for it, and as JSON."""
    try:
        return json.dumps(node.run(*arguments)).encode()
    except CommandError as error:
        return str(error).encode()


def shown(node: LiveNode, *arguments: str) -> bytes:
    """What a command prints, whether it succeeds or not."""
    done = subprocess.run(
        [sys.executable, "-m", "host", *arguments, "--file", str(node.config)],
        cwd=node.config.parent,
        env=node.environment,
        capture_output=True,
        check=False,
        timeout=DEADLINE_S,
    )
    return done.stdout + done.stderr or b"nothing"


def secrets_of(path: Path) -> list[bytes]:
    """The secrets of a key file: seeds and scalars of its keys, what signing makes of them, passphrase, file's key."""
    keys = [one.secret for one in open_keys(str(path), lambda _: PASSPHRASE.encode(), writable=False).records]
    assert len(keys) == 3
    pairs = [bindings.crypto_sign_seed_keypair(key.signing)[1] for key in keys]
    scalars = [bindings.crypto_sign_ed25519_sk_to_curve25519(pair) for pair in pairs]
    file_key = derivation_of(path.read_bytes()).key(PASSPHRASE.encode())
    parts = (part for key in keys for part in (key.signing, key.decrypting))
    return [*parts, *scalars, file_key, PASSPHRASE.encode()]


def files(folder: Path) -> Iterator[bytes]:
    """The content of every file of a node: its data, its runtime folder, what it printed."""
    return (path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


def forms(secret: bytes) -> Iterator[bytes]:
    """A secret as it is, in hexadecimal, as Python shows it, and in base64 at each place of a group."""
    yield from (secret, secret.hex().encode(), secret.hex().upper().encode(), repr(secret)[2:-1].encode())
    for encode in (b64encode, urlsafe_b64encode):
        for before in range(3):
            text = encode(bytes(before) + secret).rstrip(b"=")
            yield text[4 if before else 0 : -1]


def found(secrets: list[bytes], texts: Iterable[bytes]) -> list[int]:
    """Which secrets are in the texts, in any form."""
    wanted = [(number, form) for number, secret in enumerate(secrets) for form in forms(secret)]
    return sorted({number for text in texts for number, form in wanted if form in text})


@pytest.mark.storm
def test_every_identity_is_made_once_while_processes_are_killed() -> None:
    """False if a kill of key store or management loses an identity, makes a second key for one, or leaves an order."""
    with live_node(CONFIG, "process") as node:
        names = [f"identity-{n}" for n in range(24)]
        for n, name in enumerate(names):
            node.send("identities", "Generate", name=name, reply="naming")
            if n % 3 == 0 and (pid := node.engines()[("keys", "identities")[n % 2]]["pid"]):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        state = node.until("all orders done", lambda: settled(node, len(names)))
        listed = node.ask("keys", "ListKeys", "KeyList")["keys"]
        made = {known["name"]: known["key"] for _, known in state["known"]}
        assert made == {key["name"]: key["key"] for key in listed}
        assert sorted(made) == sorted(names)
        for _, known in state["known"]:
            answer = node.ask(known["engines"][0], "Commit", "DataSigned", data="0x00")
            assert answer["signed"]["key"] == known["key"]


def settled(node: LiveNode, count: int) -> dict[str, Any] | None:
    """The state of management, once it knows so many identities and waits for no answer."""
    try:
        state: dict[str, Any] = node.state("identities")
    except CommandError:  # restarting
        return None
    return state if not state["pending"] and len(state["known"]) == count else None


@pytest.mark.storm
def test_a_node_whose_keys_cannot_be_opened_does_not_start() -> None:
    """False if `up` reported a key store as ready before its file was open, or did not say what is wrong."""
    with live_node(CONFIG, "process") as node:
        node.run("down")
        node.environment["ENGINEHOST_PASSPHRASE"] = "another one"
        with pytest.raises(CommandError, match=r"keys has another passphrase"):
            node.run_apart("up", "-d")
        node.environment["ENGINEHOST_PASSPHRASE"] = PASSPHRASE
        node.run_apart("up", "-d")
