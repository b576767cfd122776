"""The key file as bytes: keys encrypted under a passphrase. Pure: chance and the derived key are arguments.

| offset | size | meaning |
|---|---|---|
| 0 | 8 | `EHKEYS` and two zero bytes |
| 8 | 2 | version, big-endian as every number here |
| 10 | 2 | 1: the key is derived with argon2id (version 1.3), the content encrypted with XChaCha20-Poly1305 |
| 12 | 4 | argon2id: passes |
| 16 | 8 | argon2id: memory in bytes |
| 24 | 16 | argon2id: salt, new with each file |
| 40 | 24 | nonce, new with each writing |
| 64 | n | the ciphertext: MessagePack of the records; bytes 0 to 63 are authenticated with it |
| 64 + n | 32 | BLAKE2b of all before |

The hash at the end tells damage from a wrong passphrase; the protection is the cipher's tag. The version decides how
all that follows is read, so a newer one is refused first.
"""

from __future__ import annotations

import struct
from hashlib import blake2b
from typing import Final

import msgspec
from nacl import bindings
from nacl.exceptions import CryptoError
from nacl.pwhash import argon2id

from engines.crypto.keys import SecretKey

MAGIC: Final = b"EHKEYS\0\0"
VERSION: Final = 1
ARGON2ID_XCHACHA: Final = 1
HEAD: Final = struct.Struct(">8sHHIQ16s24s")
SALT_BYTES: Final = 16
NONCE_BYTES: Final = 24
DIGEST_BYTES: Final = 32

PASSES: Final = 3
MEMORY_BYTES: Final = 64 << 20
"""RFC 9106, section 4: the second recommended choice, here with one lane. 0.3 s on two cores."""

PASSES_MAX: Final = 64
MEMORY_BYTES_MAX: Final = 4 << 30
"""Larger figures in a file are damage or an attack: deriving the key would stop this machine."""

RECORDS_MAX: Final = 10_000
NAME_CHARS_MAX: Final = 200
FILE_BYTES_MAX: Final = 16 << 20
"""Far above `RECORDS_MAX` records."""


class KeyFileError(Exception):
    """A key file or its passphrase cannot be used; the text says which and why."""


class KeyRecord(msgspec.Struct, frozen=True):
    """A key: its name, who owns it ("" for a person), and when it was made."""

    name: str
    owner: str
    secret: SecretKey
    created_ns: int = 0


class Derivation(msgspec.Struct, frozen=True):
    """How the file's key is made of the passphrase."""

    salt: bytes
    passes: int = PASSES
    memory_bytes: int = MEMORY_BYTES

    def key(self, passphrase: bytes) -> bytes:
        """The key; takes the time and the memory it says. Blocks."""
        return argon2id.kdf(
            bindings.crypto_aead_xchacha20poly1305_ietf_KEYBYTES, passphrase, self.salt, self.passes, self.memory_bytes
        )


def derivation_of(data: bytes) -> Derivation:
    """How the key of the file `data` is derived. Raises KeyFileError, without the file's name, if it cannot be one."""
    if data[: len(MAGIC)] != MAGIC:
        raise KeyFileError("is no key file")
    if len(data) < HEAD.size + DIGEST_BYTES:
        raise KeyFileError("is damaged: it ends too early")
    _, version, suite, passes, memory_bytes, salt, _ = HEAD.unpack_from(data)
    if version > VERSION:
        raise KeyFileError(f"has format {version}; this version of enginehost reads formats up to {VERSION}")
    if blake2b(data[:-DIGEST_BYTES], digest_size=DIGEST_BYTES).digest() != data[-DIGEST_BYTES:]:
        raise KeyFileError("is damaged: its bytes do not have the hash at its end")
    if (version, suite) != (VERSION, ARGON2ID_XCHACHA):
        raise KeyFileError(f"has format {version}, cipher {suite}, which there is not")
    if not (1 <= passes <= PASSES_MAX and argon2id.MEMLIMIT_MIN <= memory_bytes <= MEMORY_BYTES_MAX):
        raise KeyFileError(f"wants {passes} passes over {memory_bytes} bytes, beyond what this program allows")
    return Derivation(salt, passes, memory_bytes)


def decrypted(data: bytes, key: bytes) -> tuple[KeyRecord, ...]:
    """The records of a file that `derivation_of` accepted. Raises KeyFileError for a wrong passphrase."""
    head, body = data[: HEAD.size], data[HEAD.size : -DIGEST_BYTES]
    try:
        content = bindings.crypto_aead_xchacha20poly1305_ietf_decrypt(body, head, head[-NONCE_BYTES:], key)
    except (CryptoError, TypeError):
        raise KeyFileError("has another passphrase") from None
    try:
        return msgspec.msgpack.decode(content, type=tuple[KeyRecord, ...])
    except msgspec.MsgspecError:
        raise KeyFileError("is damaged: its content has another form") from None


def encrypted(records: tuple[KeyRecord, ...], derivation: Derivation, key: bytes, nonce: bytes) -> bytes:
    """The file of these records. `nonce`: random, never used before with this key."""
    limits = derivation.passes, derivation.memory_bytes
    head = HEAD.pack(MAGIC, VERSION, ARGON2ID_XCHACHA, *limits, derivation.salt, nonce)
    content = msgspec.msgpack.encode(records)
    body = head + bindings.crypto_aead_xchacha20poly1305_ietf_encrypt(content, head, nonce, key)
    return body + blake2b(body, digest_size=DIGEST_BYTES).digest()
