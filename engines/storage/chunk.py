"""Chunks: content that is named by its hash and encrypted with a key made of itself. Pure: chance is an argument.

    | offset | size | meaning |
    |---|---|---|
    | 0 | 4 | `EHC1` |
    | 4 | 4 | n, the size of the head, big-endian |
    | 8 | n | the head: children, expiry, access list; MessagePack, in the clear |
    | 8 + n | m + 16 | the content, ChaCha20-Poly1305 (RFC 8439); the bytes before it are authenticated with it |

The address of a chunk is the BLAKE3 hash of all these bytes, so whoever stores it can check it without a key, and
sees only which chunks it leads to. The key is a keyed BLAKE3 hash of head and plaintext (convergent encryption): the
same content gives the same chunk, stored once, and a key never encrypts two contents, so the nonce is zero. That has a
price: somebody who guesses a content can check the guess. A secret, shared by those who shall share chunks, keys the
hash and keeps others from that.

A chunk with an access list is empty and leads to one other chunk. For each reader the list has the key of that chunk,
sealed to the reader, and the signature of who made it.
"""

from __future__ import annotations

import struct
from typing import Annotated, Final, TypeAlias

import msgspec
from blake3 import blake3
from msgspec import Meta
from nacl import bindings
from nacl.exceptions import CryptoError

from engines.crypto.keys import (
    KEY_BYTES,
    PublicKey,
    SecretKey,
    Signed,
    identity_of,
    is_valid,
    public_of,
    seal,
    sign,
    unseal,
)
from engines.model import Map, Value, encode
from engines.model.values import Decoder

MAGIC: Final = b"EHC1"
HEAD: Final = struct.Struct(">4sI")
ADDRESS_BYTES: Final = 32
TAG_BYTES: Final = 16

CONTENT_BYTES_MAX: Final = 1 << 20
"""Plaintext of a chunk. Smaller chunks cost more syncs; larger ones leave the processor's caches."""

CHILDREN_MAX: Final = 1024
HEAD_BYTES_MAX: Final = 64 << 10
"""Above `CHILDREN_MAX` addresses; about 500 readers."""

CHUNK_BYTES_MAX: Final = HEAD.size + HEAD_BYTES_MAX + CONTENT_BYTES_MAX + TAG_BYTES

KEY_CONTEXT: Final = "enginehost 2026-11 convergent chunk key"
"""Domain of the key that keys are derived with; see BLAKE3, section 2.3."""

Address: TypeAlias = Annotated[bytes, Meta(min_length=ADDRESS_BYTES, max_length=ADDRESS_BYTES)]


class AccessList(Value):
    """Who may read: the key of the chunk below, sealed to each reader, by identity. `signed` covers all of it."""

    members: Map[bytes, bytes]
    version: int = 0
    signed: Signed | None = None


class Head(Value):
    """What the keeper of a chunk sees: where it leads, until when it is of use (0: always), and who may read it."""

    children: Annotated[tuple[Address, ...], Meta(max_length=CHILDREN_MAX)] = ()
    expiry_ns: Annotated[int, Meta(ge=0)] = 0
    acl: AccessList | None = None


class ReadKey(Value):
    """What it takes to read a chunk and all below it."""

    address: Address
    key: Annotated[bytes, Meta(min_length=KEY_BYTES, max_length=KEY_BYTES)] = bytes(KEY_BYTES)


class ChunkError(ValueError):
    """Bytes are no chunk, are damaged, or have another key."""


NO_HEAD: Final = Head()
_HEADS: Final[Decoder[Head]] = Decoder(Head)


def address_of(chunk: bytes | memoryview) -> bytes:
    """The name of a chunk."""
    return blake3(chunk).digest()


def encrypted(content: bytes | memoryview, head: Head = NO_HEAD, secret: bytes = b"") -> tuple[bytes, ReadKey]:
    """The chunk of a content, and what it takes to read it. Raises ChunkError beyond the bounds."""
    encoded = encode(head)
    if len(content) > CONTENT_BYTES_MAX or len(encoded) > HEAD_BYTES_MAX:
        raise ChunkError(f"a chunk of {len(content)} bytes and a head of {len(encoded)}")
    before = HEAD.pack(MAGIC, len(encoded)) + encoded
    key = key_of(before, content, secret)
    nonce = bytes(bindings.crypto_aead_chacha20poly1305_ietf_NPUBBYTES)
    chunk = before + bindings.crypto_aead_chacha20poly1305_ietf_encrypt(bytes(content), before, nonce, key)
    return chunk, ReadKey(address_of(chunk), key)


def key_of(before: bytes, content: bytes | memoryview, secret: bytes = b"") -> bytes:
    """The key of a content; it depends on every bit that is encrypted or authenticated with it."""
    hasher = blake3(key=blake3(secret, derive_key_context=KEY_CONTEXT).digest())
    return hasher.update(len(before).to_bytes(8, "big")).update(before).update(content).digest()


def head_of(chunk: bytes | memoryview) -> Head:
    """The head of a chunk. Raises ChunkError for bytes that are none."""
    if len(chunk) < HEAD.size + TAG_BYTES or len(chunk) > CHUNK_BYTES_MAX:
        raise ChunkError(f"{len(chunk)} bytes are no chunk")
    magic, size = HEAD.unpack_from(chunk)
    if magic != MAGIC or size > HEAD_BYTES_MAX or len(chunk) < HEAD.size + size + TAG_BYTES:
        raise ChunkError("no chunk of this version")
    encoded = bytes(chunk[HEAD.size : HEAD.size + size])
    try:
        head = _HEADS.decode(encoded)
    except msgspec.MsgspecError as error:
        raise ChunkError(f"the head of a chunk: {error}") from None
    if encode(head) != encoded:
        raise ChunkError("the head of a chunk has two forms")
    return head


def decrypted(chunk: bytes | memoryview, key: bytes) -> bytes:
    """The content of a chunk. Raises ChunkError for another key or a changed byte."""
    head_of(chunk)
    size = HEAD.size + HEAD.unpack_from(chunk)[1]
    nonce = bytes(bindings.crypto_aead_chacha20poly1305_ietf_NPUBBYTES)
    try:
        return bindings.crypto_aead_chacha20poly1305_ietf_decrypt(bytes(chunk[size:]), bytes(chunk[:size]), nonce, key)
    except (CryptoError, TypeError):
        raise ChunkError("the chunk is damaged, or has another key") from None


def access_chunk(
    below: ReadKey, readers: tuple[PublicKey, ...], owner: SecretKey, chance: bytes, version: int = 0
) -> tuple[bytes, ReadKey]:
    """A chunk that lets these readers read `below`, signed by the owner. `chance`: 32 random bytes a reader.

    Raises ValueError for a reader that cannot decrypt, and an owner that cannot sign.
    """
    parts = [chance[n : n + KEY_BYTES] for n in range(0, KEY_BYTES * len(readers), KEY_BYTES)]
    boxes = (seal(reader, below.key, part) for reader, part in zip(readers, parts, strict=True))
    members = Map(zip(map(identity_of, readers), boxes, strict=True))
    signed = sign(owner, access_bytes(below.address, members, version))
    return encrypted(b"", Head((below.address,), acl=AccessList(members, version, signed)))


def access_bytes(below: bytes, members: Map[bytes, bytes], version: int) -> bytes:
    """The bytes that an owner signs."""
    return b"enginehost access list 1\0" + encode((below, version, sorted(members.items())))


def opened_access(head: Head, secret: SecretKey) -> ReadKey:
    """What a reader may read by a chunk with an access list. Raises ChunkError if that is nothing."""
    if head.acl is None or len(head.children) != 1:
        raise ChunkError("the chunk has no access list")
    acl, below = head.acl, head.children[0]
    if acl.signed is None or not is_valid(acl.signed, access_bytes(below, acl.members, acl.version)):
        raise ChunkError("the access list is not signed by its owner")
    sealed = acl.members.get(identity_of(public_of(secret)))
    if sealed is None:
        raise ChunkError("the key is not on the access list")
    try:
        return ReadKey(below, unseal(secret, sealed))
    except ValueError as error:
        raise ChunkError(str(error)) from None


class ChunkCommitment(Value):
    """A promise to keep a chunk, and all below it, until a time."""

    chunk: Address
    expiry_ns: Annotated[int, Meta(ge=0)]
    signed: Signed

    @property
    def node(self) -> bytes:
        """The identity that promises."""
        return identity_of(self.signed.key)

    @property
    def is_valid(self) -> bool:
        """Whether that identity signed it."""
        return is_valid(self.signed, promise(self.chunk, self.expiry_ns))


def promise(chunk: bytes, expiry_ns: int) -> bytes:
    """The bytes that are signed."""
    return b"enginehost chunk commitment 1\0" + chunk + expiry_ns.to_bytes(8, "big")
