"""The key file: it survives deaths, and whatever is wrong with it is said in one sentence."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from deadline import DEADLINE_S
from nacl.pwhash import argon2id

from engines.crypto import key_file
from engines.crypto.key_disk import KeyDisk, open_keys, read_passphrase
from engines.crypto.key_file import DIGEST_BYTES, Derivation, KeyFileError, KeyRecord, encrypted
from engines.crypto.keys import secret_from

PASSPHRASE = b"correct horse"


def record(name: str) -> KeyRecord:
    return KeyRecord(name, "", secret_from(name.encode().ljust(64, b"."), can_sign=True, can_decrypt=True), 1)


def opened(path: Path, *, passphrase: bytes = PASSPHRASE, create: bool = True) -> KeyDisk:
    return open_keys(str(path), lambda _: passphrase, create=create)


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """A file with one key, derived with the least work, which the file records."""
    path = tmp_path / "keys"
    least = Derivation(bytes(range(16)), 1, argon2id.MEMLIMIT_MIN)
    path.write_bytes(encrypted((record("alice"),), least, least.key(PASSPHRASE), bytes(24)))
    path.chmod(0o600)
    return path


def test_a_new_file(tmp_path: Path) -> None:
    """False if others may read keys or their folder, if they are in clear, or if guessing the passphrase is cheap."""
    path = tmp_path / "folder" / "keys"
    opened(path).save((record("alice"),))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert sorted(path.name for path in path.parent.iterdir()) == ["keys", "keys.lock"]
    data = path.read_bytes()
    assert record("alice").secret.signing not in data
    assert b"alice" not in data
    assert key_file.derivation_of(data) == Derivation(data[24:40], 3, 64 << 20)
    assert open_keys(str(path), lambda _: PASSPHRASE, writable=False).records == (record("alice"),)


def test_no_two_writings_are_alike(kept: Path) -> None:
    """False if a nonce or a salt came twice: equal keys would show, and two messages under one nonce are open."""
    before = kept.read_bytes()
    disk = opened(kept)
    disk.save(disk.records)
    disk.close()
    after = kept.read_bytes()
    assert before[24:40] == after[24:40]
    assert before[40:64] != after[40:64]
    opened(kept.with_name("other")).close()
    assert kept.with_name("other").read_bytes()[24:40] != after[24:40]


def test_a_deleted_key_is_overwritten(kept: Path) -> None:
    """False if the bytes of the replaced file stay on the disk as they were."""
    with kept.open("rb") as old:
        disk = opened(kept)
        disk.save(())
        assert set(old.read()) == {0}
    torn = kept.with_name("keys.new")
    torn.write_bytes(b"what a killed writer left")
    with torn.open("rb") as left:
        disk.save(())
        assert set(left.read()) == {0}
    copy = kept.with_name("copy")
    os.link(kept, copy)
    disk.save((record("bob"),))
    assert key_file.derivation_of(copy.read_bytes()), "what has another name is somebody's copy, and is left alone"


def test_a_link_is_followed(kept: Path) -> None:
    """False if a writer puts a file in the place of a link, and leaves the linked file with the old keys."""
    link = kept.with_name("link")
    link.symlink_to(kept)
    disk = opened(link)
    disk.save(())
    disk.close()
    assert link.is_symlink()
    assert opened(kept).records == ()


def newer(data: bytes) -> bytes:
    return data[:8] + b"\0\2" + data[10:]


WRONG: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "a flipped bit in the keys": (lambda data: data[:70] + bytes([data[70] ^ 1]) + data[71:], "is damaged"),
    "a flipped bit in the salt": (lambda data: data[:30] + bytes([data[30] ^ 1]) + data[31:], "is damaged"),
    "a torn end": (lambda data: data[:-1], "is damaged"),
    "only a head": (lambda data: data[:20], "ends too early"),
    "nothing": (lambda _: b"", "is no key file"),
    "another file": (lambda _: b"-----BEGIN OPENSSH PRIVATE KEY-----", "is no key file"),
    "a newer format": (newer, "has format 2; this version of enginehost reads formats up to 1"),
    "too large": (lambda data: data + bytes(key_file.FILE_BYTES_MAX), "is no key file"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_file_that_cannot_be_used_is_named(kept: Path, wrong: str) -> None:
    """False if a damaged or foreign file is taken for another thing, replaced, or reported as a wrong passphrase."""
    change, text = WRONG[wrong]
    kept.write_bytes(change(kept.read_bytes()))
    before = kept.read_bytes()
    with pytest.raises(KeyFileError, match=text) as caught:
        opened(kept)
    assert str(caught.value).startswith(f"{kept} ")
    assert kept.read_bytes() == before


def test_a_file_that_asks_for_too_much_is_refused() -> None:
    """False if a file could make this machine derive a key for hours, or fill its memory."""
    for derivation in (Derivation(bytes(16), 10**6), Derivation(bytes(16), 1, 1 << 40), Derivation(bytes(16), 0)):
        with pytest.raises(KeyFileError, match="beyond what this program allows"):
            key_file.derivation_of(encrypted((), derivation, bytes(32), bytes(24)))


def test_a_valid_end_does_not_help_a_changed_file(kept: Path) -> None:
    """False if the hash at the end, which anybody can make, were the protection."""
    body = bytearray(kept.read_bytes()[:-DIGEST_BYTES])
    body[70] ^= 1
    kept.write_bytes(bytes(body) + key_file.blake2b(bytes(body), digest_size=DIGEST_BYTES).digest())
    with pytest.raises(KeyFileError, match="has another passphrase"):
        opened(kept)


def test_a_wrong_passphrase_is_named(kept: Path) -> None:
    """False if another passphrase opens the file, or its error blames the file."""
    with pytest.raises(KeyFileError, match="has another passphrase"):
        opened(kept, passphrase=b"wrong")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620])
def test_a_file_that_others_can_use_is_refused(kept: Path, mode: int) -> None:
    """False if keys are used although others may have read or exchanged them."""
    kept.chmod(mode)
    with pytest.raises(KeyFileError, match=rf"can be read or written by others \(mode {mode:04o}\): chmod 600"):
        opened(kept)


def test_only_one_process_writes(kept: Path) -> None:
    """False if two writers could undo each other's keys. Readers need no lock."""
    writer = opened(kept)
    with pytest.raises(KeyFileError, match="in use by another process"):
        opened(kept)
    assert open_keys(str(kept), lambda _: PASSPHRASE, writable=False).records == writer.records
    writer.close()
    assert opened(kept).records == writer.records


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """False if a typo in a path makes a file."""
    for path in (tmp_path / "keys", tmp_path / "no" / "keys"):
        for writable in (True, False):
            with pytest.raises(KeyFileError, match="there is no key file"):
                open_keys(str(path), lambda _: PASSPHRASE, writable=writable)


WRITER = """
import sys
from engines.crypto.key_disk import open_keys
from engines.crypto.key_file import KeyRecord
from engines.crypto.keys import secret_from
disk = open_keys(sys.argv[1], lambda _: b"correct horse", create=True)
for number in range(10**6):
    name = str(number)
    secret = secret_from(name.encode().ljust(64, b"."), can_sign=True, can_decrypt=True)
    disk.save((*disk.records[-50:], KeyRecord(name, "", secret, 1)))
    print(number, flush=True)
"""


@pytest.mark.storm
def test_a_killed_writer_loses_no_key_it_acknowledged(tmp_path: Path) -> None:
    """False if a kill at any instant leaves a torn file, an older one, or a lock that nobody gives back."""
    path = tmp_path / "keys"
    for reported in (1, 5, 20):
        with subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE) as writer:
            assert writer.stdout is not None
            for _ in range(reported):
                last = int(writer.stdout.readline())
            writer.send_signal(signal.SIGKILL)
            rest = writer.stdout.read().split(b"\n")[:-1]
            writer.wait(DEADLINE_S)
        acknowledged = int(rest[-1]) if rest else last
        disk = opened(path)
        disk.close()
        names = [one.name for one in disk.records]
        assert names
        assert int(names[-1]) >= acknowledged
        path.unlink()


def test_passphrases_come_from_outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """False if a source is not read, or the end of the line becomes part of the passphrase."""
    file = tmp_path / "passphrase"
    file.write_bytes(b"correct horse\n")
    file.chmod(0o600)
    assert read_passphrase(f"file:{file}") == PASSPHRASE
    monkeypatch.setenv("EH_TEST_PASSPHRASE", "correct horse")
    assert read_passphrase("env:EH_TEST_PASSPHRASE") == PASSPHRASE
    read, write = os.pipe()
    os.write(write, b"correct horse\r\n")
    os.close(write)
    assert read_passphrase(f"fd:{read}") == PASSPHRASE
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(read)


def test_passphrases_that_cannot_be_used_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """False if a mistake waits, is a traceback, or is taken for a passphrase."""
    monkeypatch.setenv("EH_EMPTY", "")
    file = tmp_path / "passphrase"
    file.write_bytes(b"x")
    file.chmod(0o644)
    large = tmp_path / "large"
    large.write_bytes(bytes(2000))
    large.chmod(0o600)
    os.mkfifo(tmp_path / "fifo", 0o600)
    wrong = {
        "secret": "none of file:PATH, env:NAME, fd:NUMBER",
        "file:": "none of",
        f"file:{tmp_path / 'no'}": "No such file",
        f"file:{file}": "chmod 600",
        f"file:{large}": "more than 1024 bytes",
        f"file:{tmp_path / 'fifo'}": "no regular file",
        "env:EH_NOT_THERE": "the environment has no EH_NOT_THERE",
        "env:EH_EMPTY": "is empty",
        "fd:x": "no descriptor",
        "fd:987654": "Bad file descriptor",
    }
    for source, text in wrong.items():
        with pytest.raises(KeyFileError, match=text) as caught:
            read_passphrase(source)
        assert str(caught.value).startswith("passphrase: ")


def test_a_terminal_is_never_asked() -> None:
    """False if a program without a person would wait for one."""
    leader, follower = os.openpty()
    with pytest.raises(KeyFileError, match="is a terminal"):
        read_passphrase(f"fd:{follower}")
    os.close(leader)
    os.close(follower)
