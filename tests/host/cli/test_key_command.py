"""`enginehost key`: a user's own keys, without a node."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from deadline import DEADLINE_S

from engines.crypto.keys import PublicKey, Signed, identity_of, is_valid

from .conftest import Cli


@pytest.fixture(autouse=True)
def keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the keys will be; the passphrase is in the environment."""
    monkeypatch.setenv("ENGINEHOST_PASSPHRASE", "correct horse")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.delenv("ENGINEHOST_KEYS", raising=False)
    return tmp_path / "enginehost" / "keys"


def unhex(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("0x"))


def test_a_key_is_made_listed_and_used(cli: Cli, keys: Path, tmp_path: Path) -> None:
    """False if a new key is not listed, its identity is no hash of its public key, or its signature is not good."""
    [made] = cli("key", "new", "alice", "--json").envelope["items"]
    assert cli("key", "ls", "--json").envelope == {"v": 1, "kind": "key", "items": [made]}
    public = unhex(made["public"])
    key = PublicKey(public[:32], public[32:])
    assert unhex(made["identity"]) == identity_of(key)
    file = tmp_path / "file"
    file.write_bytes(b"data")
    signature = cli("key", "sign", "alice", str(file)).out.strip()
    assert is_valid(Signed(key, unhex(signature)), b"data")
    assert cli("key", "verify", made["public"], signature, str(file)).out == "the signature holds\n"
    assert cli("key", "verify", made["public"][:66], signature, str(file)).code == 0
    [item] = cli("key", "sign", "alice", str(file), "--json").envelope["items"]
    assert item == made | {"signature": signature}
    file.write_bytes(b"date")
    refused = cli("key", "verify", made["public"], signature, str(file))
    assert (refused.code, refused.err) == (8, "enginehost: the signature does not hold\n")
    assert keys.exists()


def test_kinds_of_keys(cli: Cli) -> None:
    """False if a key can do what it was not made for."""
    for kind, size in (("sign", 32), ("decrypt", 32), ("both", 64)):
        [made] = cli("key", "new", kind, "--kind", kind, "--json").envelope["items"]
        assert (made["kind"], len(unhex(made["public"]))) == (kind, size)
    refused = cli("key", "sign", "decrypt", os.devnull)
    assert (refused.code, refused.err) == (10, "enginehost: decrypt can decrypt only\n")
    assert [line.split()[:2] for line in cli("key", "ls").out.splitlines()[1:]] == [
        ["both", "both"],
        ["decrypt", "decrypt"],
        ["sign", "sign"],
    ]


def test_mistakes_are_named(cli: Cli, keys: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """False if a mistake is a traceback, has the wrong exit code, or changes the keys."""
    missing = cli("key", "ls")
    assert (missing.code, missing.err) == (
        4,
        f"enginehost: {keys}: there is no key file; `enginehost key new NAME` makes one\n",
    )
    assert cli("key", "new", "alice").code == 0
    before = keys.read_bytes()
    for argv, code, text in (
        (("new", "alice"), 9, f"{keys} has a key alice"),
        (("new", ""), 2, "a name has 1 to 200 printable characters"),
        (("new", "a\nb"), 2, "a name has 1 to 200 printable characters"),
        (("sign", "bob", os.devnull), 4, f"{keys} has no key bob"),
        (("ls", "bob"), 4, f"{keys} has no key bob"),
        (("bob",), 2, "did you mean `key ls bob`"),
        (("verify", "0x12", "0x34", os.devnull), 2, "PUBLIC is 32 or 64 bytes in hexadecimal"),
        (("verify", "12" * 32, "0x34", os.devnull), 2, "SIGNATURE is 64 bytes in hexadecimal"),
        (("ls", "--passphrase", "correct horse"), 1, "its source is none of file:PATH, env:NAME, fd:NUMBER"),
        (("ls", "--passphrase", "env:EH_NO"), 1, "the environment has no EH_NO"),
        (("ls", "--keys", __file__), 1, "chmod 600"),
    ):
        result = cli("key", *argv)
        assert (result.code, text in result.err) == (code, True), (argv, result)
        assert "correct horse" not in result.out + result.err
    monkeypatch.setenv("ENGINEHOST_PASSPHRASE", "wrong")
    assert cli("key", "ls").err == f"enginehost: {keys} has another passphrase\n"
    assert cli("key", "new", "bob").err == f"enginehost: {keys} has another passphrase\n"
    assert keys.read_bytes() == before


def test_without_a_terminal_nothing_waits(keys: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """False if a script without a passphrase would wait for a person."""
    monkeypatch.delenv("ENGINEHOST_PASSPHRASE")
    done = subprocess.run(
        [sys.executable, "-m", "host", "key", "new", "alice"],
        stdin=subprocess.PIPE,
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr == (
        "enginehost: passphrase: there is no terminal; give --passphrase or $ENGINEHOST_PASSPHRASE\n"
    )
    assert not keys.exists()


def test_a_terminal_is_asked(keys: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """False if a person at a terminal cannot give a passphrase, or sees it on the screen."""
    monkeypatch.delenv("ENGINEHOST_PASSPHRASE")
    leader, follower = pty.openpty()
    argv = [sys.executable, "-m", "host", "key", "new", "alice"]
    with subprocess.Popen(argv, stdin=follower, stdout=follower, stderr=follower, start_new_session=True) as process:
        os.close(follower)
        shown = b""
        for question in (b"Passphrase: ", b"Repeat for confirmation: "):
            while not shown.endswith(question):
                shown += os.read(leader, 1000)
            os.write(leader, b"typed secret\n")
        while b"both" not in shown:
            shown += os.read(leader, 1000)
        assert process.wait(DEADLINE_S) == 0
    os.close(leader)
    assert b"typed" not in shown
    monkeypatch.setenv("ENGINEHOST_PASSPHRASE", "typed secret")
    done = subprocess.run(
        [sys.executable, "-m", "host", "key", "ls"], capture_output=True, text=True, timeout=DEADLINE_S, check=True
    )
    assert "alice" in done.stdout
    assert keys.exists()
