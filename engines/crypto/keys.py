"""Keys and what can be done with them. Pure: chance is an argument, as bytes.

An identity is a **public key**, or a **threshold** over several of them. Its external identity is a hash of that
document, so whoever gets the document can check that it belongs to the identity, and nobody can exchange a key below
it. Signatures are Ed25519 (RFC 8032), sealed boxes X25519 (RFC 7748) as in libsodium; both keys of one public key are
independent, and either may be missing.

The bytes that are hashed:

| document | bytes |
|---|---|
| public key | 1, length and bytes of the verifying key, the same of the encrypting key (lengths: 1 byte, 0 or 32) |
| threshold | 2, the weight needed (8 bytes, big-endian), then each member's identity and weight (8 bytes), sorted |

A threshold's members are public keys, not thresholds: *and* is a threshold of all weights, *or* of one. A threshold can
sign jointly; it has no key of its own, so nothing can be sealed to it.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Annotated, Any, Final, TypeAlias

import msgspec
from msgspec import Meta
from nacl import bindings
from nacl.exceptions import CryptoError

from engines.model import Map, Value

KEY_BYTES: Final = 32
IDENTITY_BYTES: Final = 32
SIGNATURE_BYTES: Final = 64
SECRET_CHANCE_BYTES: Final = 2 * KEY_BYTES
"""Random bytes that a secret key is made of."""

MEMBERS_MAX: Final = 256
"""Members of a threshold: each costs a verification."""

Key32: TypeAlias = Annotated[bytes, Meta(max_length=KEY_BYTES)]
Weight: TypeAlias = Annotated[int, Meta(ge=1, le=2**32)]


class PublicKey(Value, tag=True):
    """The public part of a key: 32 bytes to verify with, 32 to encrypt with; b"" for a capability it does not have."""

    verifying: Key32 = b""
    encrypting: Key32 = b""


class Weighted(Value):
    """A member of a threshold."""

    key: PublicKey
    weight: Weight = 1


class Threshold(Value, tag=True):
    """An identity of several: their joint signatures count when the weights of the valid ones reach `needed`."""

    needed: Annotated[int, Meta(ge=1, le=2**40)]
    members: Annotated[tuple[Weighted, ...], Meta(max_length=MEMBERS_MAX)]


Public: TypeAlias = PublicKey | Threshold


class Signed(Value, tag=True):
    """The signature of one key."""

    key: PublicKey
    signature: bytes


class Joint(Value, tag=True):
    """The signatures of members of a threshold, by their external identity."""

    threshold: Threshold
    signatures: Map[bytes, bytes]


Commitment: TypeAlias = Signed | Joint


class SecretKey(msgspec.Struct, frozen=True):
    """The secret part: the Ed25519 seed and the X25519 scalar, b"" for a missing one. Its text shows neither."""

    signing: bytes = b""
    decrypting: bytes = b""

    def __repr__(self) -> str:
        return "SecretKey(…)"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        """The text for rich, which would show the fields."""
        return []


def secret_from(chance: bytes, *, can_sign: bool, can_decrypt: bool) -> SecretKey:
    """The secret key that `SECRET_CHANCE_BYTES` random bytes make."""
    assert len(chance) == SECRET_CHANCE_BYTES
    return SecretKey(chance[:KEY_BYTES] if can_sign else b"", chance[KEY_BYTES:] if can_decrypt else b"")


def public_of(secret: SecretKey) -> PublicKey:
    """The public part."""
    verifying = bindings.crypto_sign_seed_keypair(secret.signing)[0] if secret.signing else b""
    return PublicKey(verifying, _encrypting(secret))


def _encrypting(secret: SecretKey) -> bytes:
    return bindings.crypto_scalarmult_base(secret.decrypting) if secret.decrypting else b""


def identity_of(public: Public) -> bytes:
    """The external identity: 32 bytes that only this document has."""
    return blake2b(_document(public), digest_size=IDENTITY_BYTES, person=b"enginehost-ident").digest()


def _document(public: Public) -> bytes:
    if isinstance(public, PublicKey):
        return b"".join((b"\1", *(bytes([len(key)]) + key for key in (public.verifying, public.encrypting))))
    members = sorted(identity_of(member.key) + member.weight.to_bytes(8, "big") for member in public.members)
    return b"".join((b"\2", public.needed.to_bytes(8, "big"), *members))


def all_of(*keys: PublicKey) -> Threshold:
    """The identity that signs when every key does."""
    return Threshold(len(keys), tuple(Weighted(key) for key in keys))


def any_of(*keys: PublicKey) -> Threshold:
    """The identity that signs when one of the keys does."""
    return Threshold(1, tuple(Weighted(key) for key in keys))


def is_sound(public: Public) -> bool:
    """Whether an identity can exist: keys of 32 bytes; a threshold of distinct signers that can reach its weight."""
    if isinstance(public, PublicKey):
        keys = (public.verifying, public.encrypting)
        return any(keys) and all(len(key) in (0, KEY_BYTES) for key in keys)
    signers = {member.key.verifying for member in public.members}
    reach = sum(member.weight for member in public.members)
    return len(signers) == len(public.members) and 1 <= public.needed <= reach and all(map(_is_member, public.members))


def _is_member(member: Weighted) -> bool:
    return member.weight >= 1 and len(member.key.verifying) == KEY_BYTES and is_sound(member.key)


def sign(secret: SecretKey, data: bytes) -> Signed:
    """The signature of `data`. Raises ValueError for a key that cannot sign."""
    if not secret.signing:
        raise ValueError("this key cannot sign")
    verifying, pair = bindings.crypto_sign_seed_keypair(secret.signing)
    return Signed(PublicKey(verifying, _encrypting(secret)), bindings.crypto_sign(data, pair)[:SIGNATURE_BYTES])


def signer_of(commitment: Commitment) -> Public:
    """The identity that the commitment claims to be from."""
    return commitment.key if isinstance(commitment, Signed) else commitment.threshold


def is_valid(commitment: Commitment, data: bytes) -> bool:
    """Whether its signer committed to `data`: the signature holds, or the weights of those that hold suffice."""
    if isinstance(commitment, Signed):
        return _holds(commitment.key.verifying, commitment.signature, data)
    if not is_sound(commitment.threshold):
        return False
    valid = (
        member.weight
        for member in commitment.threshold.members
        if (signature := commitment.signatures.get(identity_of(member.key))) is not None
        and _holds(member.key.verifying, signature, data)
    )
    return sum(valid) >= commitment.threshold.needed


def _holds(verifying: bytes, signature: bytes, data: bytes) -> bool:
    if len(verifying) != KEY_BYTES or len(signature) != SIGNATURE_BYTES:
        return False
    try:
        bindings.crypto_sign_open(signature + data, verifying)
    except CryptoError:
        return False
    return True


def seal(key: PublicKey, data: bytes, chance: bytes) -> bytes:
    """A sealed box for `key` (libsodium's format), with the ephemeral key that 32 random bytes make.

    Raises ValueError for a key that cannot decrypt, or that is no point of the curve.
    """
    if len(key.encrypting) != KEY_BYTES:
        raise ValueError("this key cannot decrypt")
    own = bindings.crypto_scalarmult_base(chance)
    nonce = blake2b(own + key.encrypting, digest_size=bindings.crypto_box_NONCEBYTES).digest()
    try:
        return own + bindings.crypto_box(data, nonce, key.encrypting, chance)
    except CryptoError:
        raise ValueError("this key is weak: nothing can be sealed to it") from None


def unseal(secret: SecretKey, sealed: bytes) -> bytes:
    """What is in a sealed box. Raises ValueError if it is damaged, or not for this key."""
    if not secret.decrypting:
        raise ValueError("this key cannot decrypt")
    try:
        public = public_of(secret).encrypting
        return bindings.crypto_box_seal_open(sealed, public, secret.decrypting)
    except (CryptoError, TypeError):
        raise ValueError("the box is damaged, or sealed for another key") from None
