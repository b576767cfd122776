"""Keys: the vectors of the RFCs, and what is refused."""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nacl import bindings
from rich.pretty import pretty_repr

from engines.crypto.keys import (
    Joint,
    PublicKey,
    SecretKey,
    Signed,
    Threshold,
    Weighted,
    all_of,
    any_of,
    identity_of,
    is_sound,
    is_valid,
    public_of,
    seal,
    secret_from,
    sign,
    unseal,
)
from engines.model import Map

RFC_8032 = [
    (
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
        "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    ),
    (
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
        "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ),
    (
        "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
        "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
    ),
]
"""Secret, public, message, signature: RFC 8032, section 7.1, tests 1 to 3."""

ALICE = "77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a"
ALICE_PUBLIC = "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a"
BOB = "5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb"
BOB_PUBLIC = "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f"
SHARED = "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742"
"""RFC 7748, section 6.1."""


def secret(number: int) -> SecretKey:
    return secret_from(bytes([number]) * 64, can_sign=True, can_decrypt=True)


SECRETS = [secret(number) for number in range(1, 7)]
KEYS = [public_of(one) for one in SECRETS]


def joint(threshold: Threshold, data: bytes, signers: list[int]) -> Joint:
    signatures = ((identity_of(KEYS[n]), sign(SECRETS[n], data).signature) for n in signers)
    return Joint(threshold, Map(signatures))


@pytest.mark.parametrize(("seed", "public", "message", "signature"), RFC_8032)
def test_the_vectors_of_rfc_8032(seed: str, public: str, message: str, signature: str) -> None:
    """False if a signature is not the Ed25519 signature that others make and check."""
    data = bytes.fromhex(message)
    signed = sign(SecretKey(bytes.fromhex(seed)), data)
    assert signed == Signed(PublicKey(bytes.fromhex(public)), bytes.fromhex(signature))
    assert is_valid(signed, data)


def test_the_vectors_of_rfc_7748() -> None:
    """False if a sealed box rests on something else than X25519: keys, and the secret that two of them agree on."""
    assert public_of(SecretKey(decrypting=bytes.fromhex(ALICE))).encrypting.hex() == ALICE_PUBLIC
    assert public_of(SecretKey(decrypting=bytes.fromhex(BOB))).encrypting.hex() == BOB_PUBLIC
    assert bindings.crypto_scalarmult(bytes.fromhex(ALICE), bytes.fromhex(BOB_PUBLIC)).hex() == SHARED
    product = bindings.crypto_scalarmult(
        bytes.fromhex("a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4"),
        bytes.fromhex("e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c"),
    )
    assert product.hex() == "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552"  # section 5.2
    # The ephemeral key of a box is the chance itself, and its ordinary opener is libsodium's.
    box = seal(PublicKey(encrypting=bytes.fromhex(BOB_PUBLIC)), b"hello", bytes.fromhex(ALICE))
    assert box[:32].hex() == ALICE_PUBLIC
    assert bindings.crypto_box_seal_open(box, bytes.fromhex(BOB_PUBLIC), bytes.fromhex(BOB)) == b"hello"


@given(data=st.binary(max_size=80), bit=st.integers(min_value=0))
def test_a_changed_bit_is_refused(data: bytes, bit: int) -> None:
    """False if tampering with data, signature, key or box passes."""
    signed = sign(SECRETS[0], data)
    assert is_valid(signed, data)
    assert not is_valid(Signed(signed.key, flipped(signed.signature, bit)), data)
    assert not is_valid(Signed(PublicKey(flipped(signed.key.verifying, bit)), signed.signature), data)
    assert not is_valid(signed, flipped(data, bit) if data else b"\0")
    box = seal(KEYS[0], data, bytes(range(32)))
    assert unseal(SECRETS[0], box) == data
    with pytest.raises(ValueError, match="damaged"):
        unseal(SECRETS[0], flipped(box, bit))


def flipped(data: bytes, bit: int) -> bytes:
    changed = bytearray(data)
    changed[bit // 8 % len(data)] ^= 1 << bit % 8
    return bytes(changed)


def test_a_box_is_for_one_reader() -> None:
    """False if another key opens it."""
    with pytest.raises(ValueError, match="another key"):
        unseal(SECRETS[1], seal(KEYS[0], b"secret", bytes(range(32))))


def test_capabilities_and_weak_keys() -> None:
    """False if a key does what it was not made for, or a box is sealed to a key that everybody has."""
    with pytest.raises(ValueError, match="cannot sign"):
        sign(SecretKey(decrypting=bytes(31) + b"\1"), b"")
    with pytest.raises(ValueError, match="cannot decrypt"):
        unseal(SecretKey(bytes(32)), b"")
    with pytest.raises(ValueError, match="cannot decrypt"):
        seal(PublicKey(bytes(32)), b"", bytes(32))
    with pytest.raises(ValueError, match="weak"):
        seal(PublicKey(encrypting=bytes(32)), b"", bytes(31) + b"\1")


def test_an_identity_is_the_hash_of_its_document() -> None:
    """False if two documents have one identity, or the order of members makes another one."""
    pair = Threshold(2, (Weighted(KEYS[0], 1), Weighted(KEYS[1], 2)))
    same = Threshold(2, (Weighted(KEYS[1], 2), Weighted(KEYS[0], 1)))
    other = [
        Threshold(2, (Weighted(KEYS[0], 2), Weighted(KEYS[1], 1))),
        Threshold(1, pair.members),
        PublicKey(KEYS[0].verifying),
        PublicKey(encrypting=KEYS[0].verifying),
        *KEYS,
    ]
    assert identity_of(pair) == identity_of(same)
    identities = [identity_of(one) for one in (pair, *other)]
    assert len(set(identities)) == len(identities)
    assert identity_of(PublicKey(bytes.fromhex(RFC_8032[0][1]))).hex() == (
        "a87e77ca4820b0a55069ad085ea213add6a089e28d96378403d64bde15245e12"
    )


@pytest.mark.parametrize(
    ("weights", "needed", "enough"),
    [
        ((1, 1, 1), 2, {(0, 1), (0, 2), (1, 2), (0, 1, 2)}),
        ((2, 1, 1), 2, {(0,), (0, 1), (0, 2), (1, 2), (0, 1, 2)}),
        ((1, 1, 2), 3, {(0, 2), (1, 2), (0, 1, 2)}),
        ((1, 1, 1), 3, {(0, 1, 2)}),
        ((1, 1, 1), 1, {(0,), (1,), (2,), (0, 1), (0, 2), (1, 2), (0, 1, 2)}),
    ],
)
def test_a_threshold_counts_weights(weights: tuple[int, ...], needed: int, enough: set[tuple[int, ...]]) -> None:
    """False if a joint commitment holds with too little weight, or does not with enough."""
    threshold = Threshold(needed, tuple(Weighted(key, weight) for key, weight in zip(KEYS, weights, strict=False)))
    sets = [signers for size in range(4) for signers in combinations(range(3), size)]
    assert {signers for signers in sets if is_valid(joint(threshold, b"x", list(signers)), b"x")} == enough


def test_two_of_three_with_wrong_weights() -> None:
    """False if a commitment with weights that its identity does not have is one of that identity."""
    honest = Threshold(2, tuple(Weighted(key) for key in KEYS[:3]))
    inflated = Threshold(2, (Weighted(KEYS[0], 2), Weighted(KEYS[1]), Weighted(KEYS[2])))
    alone = joint(inflated, b"x", [0])
    assert is_valid(alone, b"x")
    assert identity_of(inflated) != identity_of(honest)
    assert not is_valid(joint(honest, b"x", [0]), b"x")
    wrong = Map({identity_of(KEYS[n]): sign(SECRETS[n], b"y").signature for n in (1, 2)})
    assert not is_valid(Joint(honest, wrong), b"x")
    assert not is_valid(joint(honest, b"x", [0, 3]), b"x"), "a signature of no member counts nothing"


def test_thresholds_that_cannot_be() -> None:
    """False if a member counts twice, or nobody suffices."""
    twice = Threshold(2, (Weighted(KEYS[0]), Weighted(KEYS[0])))
    assert not is_valid(joint(twice, b"x", [0]), b"x")
    assert not is_sound(twice)
    assert not is_sound(Threshold(2, (Weighted(KEYS[0]), Weighted(PublicKey(KEYS[0].verifying))))), "one signer"
    assert not is_sound(Threshold(3, (Weighted(KEYS[0]), Weighted(KEYS[1]))))
    assert not is_sound(Threshold(0, (Weighted(KEYS[0]),)))
    assert not is_sound(Threshold(1, (Weighted(PublicKey(encrypting=bytes(32))),)))
    assert not is_sound(PublicKey())
    assert not is_sound(PublicKey(b"short"))


def test_and_or_are_thresholds() -> None:
    """False if all of several is not all of them, or any of them not one."""
    for signers in [[0], [1], [0, 1]]:
        assert is_valid(joint(any_of(*KEYS[:2]), b"x", signers), b"x")
        assert is_valid(joint(all_of(*KEYS[:2]), b"x", signers), b"x") is (len(signers) == 2)


def test_a_secret_has_no_text() -> None:
    """False if a secret key could be printed, logged or shown in a traceback."""
    shown = f"{SECRETS[0]} {SECRETS[0]!r} {[SECRETS[0]]} {pretty_repr(SECRETS[0])}"
    assert SECRETS[0].signing.hex() not in shown
    assert repr(SECRETS[0].signing) not in shown
