"""The key store: the driver and its twin answer the same mail alike, up to the keys themselves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from device_desk import driven, twinned
from msgspec.structs import replace
from nacl.pwhash import argon2id

from engines.crypto.key_disk import open_keys
from engines.crypto.key_file import Derivation, KeyFileError, KeyRecord, encrypted
from engines.crypto.keys import Joint, PublicKey, Signed, all_of, identity_of, is_valid, public_of, secret_from
from engines.devices.key_store import (
    KEY_STORE,
    DataSigned,
    DeleteKey,
    GenerateKey,
    KeyDeleted,
    KeyFile,
    KeyGenerated,
    KeyList,
    KeyRefused,
    ListedKey,
    ListKeys,
    OpenSealed,
    SealData,
    SealedOpened,
    SignData,
)
from engines.model import Delivery, Map, Ref

ANN: Ref[Any] = Ref("ann")
PASSPHRASE = b"correct horse"
Answers = Callable[..., list[Any]]


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> KeyFile:
    """Parameters for both; the file is there, empty, with the cheapest derivation."""
    monkeypatch.setenv("EH_TEST_PASSPHRASE", PASSPHRASE.decode())
    path = tmp_path / "keys"
    write(path)
    return KeyFile(str(path), "env:EH_TEST_PASSPHRASE", b"seed")


def write(path: Path, *records: KeyRecord) -> None:
    least = Derivation(bytes(16), 1, argon2id.MEMLIMIT_MIN)
    path.write_bytes(encrypted(records, least, least.key(PASSPHRASE), bytes(24)))
    path.chmod(0o600)


def records(config: KeyFile) -> tuple[KeyRecord, ...]:
    return open_keys(config.path, lambda _: PASSPHRASE, writable=False).records


@pytest.fixture(params=[driven, twinned])
def answers(request: pytest.FixtureRequest, config: KeyFile) -> Answers:
    """What the device, or its twin, answers to mail; each call begins with no keys."""
    asked: Answers = request.param
    calls: Iterator[int] = count()

    def answer(*mail: Any) -> list[Any]:
        if next(calls):
            write(Path(config.path))
        return asked(KEY_STORE, config, *mail)

    return answer


def test_a_key_signs(answers: Answers) -> None:
    """False if the signature is not that of the key whose public part was given."""
    made, signed = answers(GenerateKey("k", "commit", ANN, 1), SignData("k", b"data", ANN, 2))
    assert (made.name, made.request, signed.request) == ("k", 1, 2)
    assert made.key.encrypting == b""
    assert signed.signed.key == made.key
    assert is_valid(signed.signed, b"data")
    assert not is_valid(signed.signed, b"date")


def test_each_reader_gets_its_own_box(answers: Answers) -> None:
    """False if a reader is left out, or two boxes of one text are alike."""
    a, b = (public_of(secret_from(bytes([n]) * 64, can_sign=False, can_decrypt=True)) for n in (1, 2))
    first, second = answers(SealData((a, b), b"text", ANN, 3), SealData((a, b), b"text", ANN, 4))
    assert (first.request, second.request) == (3, 4)
    assert set(first.sealed.keys()) == {identity_of(a), identity_of(b)}
    assert len({*first.sealed.values(), *second.sealed.values()}) == 4


def test_only_the_owner_uses_a_key(answers: Answers) -> None:
    """False if an engine signs with, opens with or deletes a key of another one; or the owner's children cannot."""
    stranger = "eve/ann"
    mail = [
        Delivery("wallet", 0, GenerateKey("k", "both", ANN)),
        *(
            Delivery(sender, 0, order)
            for sender in (stranger, "wallet~2/signer.1")
            for order in (SignData("k", b"x", ANN), OpenSealed("k", b"no box", ANN), DeleteKey("k", ANN))
        ),
    ]
    made, *denied, signed, opened, deleted = answers(*mail)
    assert isinstance(made, KeyGenerated)
    assert denied == [KeyRefused("denied", "k belongs to wallet", 0)] * 3
    assert isinstance(signed, DataSigned)
    assert opened == KeyRefused("damaged", "the box is damaged, or sealed for another key", 0)
    assert deleted == KeyDeleted("k", 0)


def test_asking_twice_makes_one_key(answers: Answers) -> None:
    """False if an engine that asks again, having had no answer, gets another key; or a name has two keys."""
    first, again, other, stranger, listed = answers(
        GenerateKey("k", "commit", ANN, 1),
        GenerateKey("k", "commit", ANN, 2),
        GenerateKey("k", "both", ANN, 3),
        Delivery("bob", 0, GenerateKey("k", "commit", ANN, 4)),
        ListKeys(ANN, 5),
    )
    assert again == KeyGenerated("k", first.key, 2)
    assert (other, stranger) == tuple(KeyRefused("already exists", "there is another key k", n) for n in (3, 4))
    assert listed == KeyList((ListedKey("k", "ann", first.key),), 5)


def test_a_deleted_key_is_gone(answers: Answers) -> None:
    """False if a deleted key signs, or its name gives the same key again."""
    first, deleted, again, refused, second, _ = answers(
        GenerateKey("k", "commit", ANN),
        DeleteKey("k", ANN),
        DeleteKey("k", ANN),
        SignData("k", b"x", ANN),
        GenerateKey("k", "commit", ANN),
        ListKeys(ANN),
    )
    assert deleted == again == KeyDeleted("k", 0)
    assert refused == KeyRefused("not found", "there is no key k", 0)
    assert second.key != first.key


def test_what_a_key_cannot_do_is_refused(answers: Answers) -> None:
    """False if a capability that a key lacks is an exception, or no answer."""
    *_, sign, open_, seal, weak = answers(
        GenerateKey("c", "commit", ANN),
        GenerateKey("d", "decrypt", ANN),
        SignData("d", b"x", ANN),
        OpenSealed("c", b"x", ANN),
        SealData((PublicKey(bytes(32)),), b"x", ANN),
        SealData((PublicKey(encrypting=bytes(32)),), b"x", ANN),
    )
    [large] = answers(SealData((PublicKey(encrypting=b"\x09" + bytes(31)),) * 33, bytes(1 << 20), ANN))
    assert large == KeyRefused("full", "all boxes together may have 33554432 bytes", 0)
    assert sign == KeyRefused("not available", "d cannot sign", 0)
    assert open_ == KeyRefused("not available", "c cannot decrypt", 0)
    assert seal == KeyRefused("not available", "this key cannot decrypt", 0)
    assert weak == KeyRefused("not available", "this key is weak: nothing can be sealed to it", 0)


def test_a_box_of_the_device_opens_in_its_next_life(config: KeyFile) -> None:
    """False if keys do not outlive the process, or a box that the device sealed is no box for its key."""
    [made] = driven(KEY_STORE, config, GenerateKey("k", "both", ANN))
    [sealed] = driven(KEY_STORE, config, SealData((made.key,), b"text", ANN))
    [box] = sealed.sealed.values()
    assert driven(KEY_STORE, config, OpenSealed("k", box, ANN, 7)) == [SealedOpened(b"text", 7)]


def test_a_box_of_the_twin_opens(config: KeyFile) -> None:
    """False if the twin's boxes are none, or depend on more than its seed."""
    make = GenerateKey("k", "both", ANN)
    [made] = twinned(KEY_STORE, config, make)
    _, sealed = twinned(KEY_STORE, config, make, SealData((made.key,), b"text", ANN))
    [box] = sealed.sealed.values()
    assert twinned(KEY_STORE, config, make, OpenSealed("k", box, ANN))[1] == SealedOpened(b"text", 0)
    other = KeyFile(config.path, config.passphrase, b"other seed")
    assert twinned(KEY_STORE, other, make)[0].key != made.key


def test_the_device_uses_its_own_chance(config: KeyFile) -> None:
    """False if two new keys are alike, or follow from the parameters."""
    make = [GenerateKey(name, "both", ANN) for name in ("a", "b")]
    a, b = (made.key for made in driven(KEY_STORE, config, *make))
    write(Path(config.path))
    again = driven(KEY_STORE, config, *make)
    assert len({a, b, *(made.key for made in again), *(made.key for made in twinned(KEY_STORE, config, *make))}) == 6


def test_an_answer_means_that_the_file_has_it(config: KeyFile) -> None:
    """False if a key is announced that the file does not have, or a deleted one is still in it."""
    driven(KEY_STORE, config, GenerateKey("a", "both", ANN), GenerateKey("b", "both", ANN), DeleteKey("a", ANN))
    [kept] = records(config)
    assert (kept.name, kept.owner, kept.created_ns) == ("b", "ann", 1_000)


@pytest.mark.parametrize("source", ["fd:0", "correct horse", "file:", ""])
def test_a_source_that_a_device_cannot_have_is_refused(source: str, config: KeyFile) -> None:
    """False if a device reads a descriptor that is its worker's own, or shows a passphrase given as a source."""
    with pytest.raises(KeyFileError, match="file:PATH") as caught:
        driven(KEY_STORE, replace(config, passphrase=source), ListKeys(ANN))
    assert "correct" not in str(caught.value)


def test_a_file_that_cannot_be_used_is_a_crash(config: KeyFile, monkeypatch: pytest.MonkeyPatch) -> None:
    """False if a device without its keys answers as if it had none."""
    monkeypatch.setenv("EH_TEST_PASSPHRASE", "wrong")
    with pytest.raises(KeyFileError, match="has another passphrase"):
        driven(KEY_STORE, config, ListKeys(ANN))
    monkeypatch.delenv("EH_TEST_PASSPHRASE")
    with pytest.raises(KeyFileError, match="the environment has no EH_TEST_PASSPHRASE"):
        driven(KEY_STORE, config, ListKeys(ANN))


def test_a_full_file_refuses(config: KeyFile, monkeypatch: pytest.MonkeyPatch) -> None:
    """False if a key file grows without a bound."""
    monkeypatch.setattr("engines.devices.key_store.RECORDS_MAX", 1)
    secret = secret_from(bytes(64), can_sign=True, can_decrypt=False)
    write(Path(config.path), KeyRecord("first", "ann", secret))
    assert driven(KEY_STORE, config, GenerateKey("k", "both", ANN)) == [KeyRefused("full", "there are 1 keys", 0)]


def test_joint_signatures_of_two_keys(answers: Answers) -> None:
    """False if the parts of a joint commitment cannot be asked for one by one."""
    made_a, made_b, by_a, by_b = answers(
        GenerateKey("a", "commit", ANN),
        GenerateKey("b", "commit", ANN),
        SignData("a", b"x", ANN),
        SignData("b", b"x", ANN),
    )
    parts: list[Signed] = [by_a.signed, by_b.signed]
    both = Joint(all_of(made_a.key, made_b.key), Map((identity_of(one.key), one.signature) for one in parts))
    assert is_valid(both, b"x")


def test_a_passphrase_is_made_with_the_file_and_never_again(tmp_path: Path) -> None:
    """False if a node had to be given a passphrase first, others could read it, or a lost one were made anew."""
    made = tmp_path / "folder" / "passphrase"
    config = KeyFile(str(tmp_path / "keys"), f"made:{made}")
    [generated] = driven(KEY_STORE, config, Delivery("ann", 0, GenerateKey("k", "commit", ANN)))
    text = made.read_bytes()
    assert (made.stat().st_mode & 0o777, len(text)) == (0o600, 65)
    [again] = driven(KEY_STORE, config, Delivery("ann", 0, GenerateKey("k", "commit", ANN)))
    assert (again.key, made.read_bytes()) == (generated.key, text)
    made.unlink()
    with pytest.raises(KeyFileError, match="No such file"):
        driven(KEY_STORE, config)
    assert not made.exists()
