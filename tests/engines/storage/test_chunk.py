"""Chunks: the same content is the same chunk, a changed bit is found, and only readers read."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.crypto.keys import SecretKey, public_of, secret_from, sign
from engines.storage.chunk import (
    CONTENT_BYTES_MAX,
    AccessList,
    ChunkCommitment,
    ChunkError,
    Head,
    access_chunk,
    address_of,
    decrypted,
    encrypted,
    head_of,
    opened_access,
    promise,
)


def person(n: int) -> SecretKey:
    return secret_from(bytes([n]) * 64, can_sign=True, can_decrypt=True)


@given(st.binary(max_size=200), st.lists(st.binary(min_size=32, max_size=32), max_size=3), st.integers(0, 2**63))
def test_a_chunk_gives_its_content_back(content: bytes, children: list[bytes], expiry_ns: int) -> None:
    """False if a content, or what the keeper needs of the head, is lost."""
    head = Head(tuple(children), expiry_ns)
    chunk, read = encrypted(content, head)
    assert decrypted(chunk, read.key) == content
    assert head_of(chunk) == head
    assert read.address == address_of(chunk)


def test_the_same_content_is_the_same_chunk_unless_a_secret_differs() -> None:
    """False if content is stored twice, or a secret does not keep outsiders from checking a guess."""
    plain, again, other = encrypted(b"content"), encrypted(b"content"), encrypted(b"content", secret=b"ours")
    assert plain == again
    assert plain[1].key != other[1].key
    assert plain[0] != other[0]


def test_a_key_encrypts_one_thing() -> None:
    """False if the key depends on the content alone: the head is authenticated with it, under the same nonce."""
    keys = {encrypted(b"content", head)[1].key for head in (Head(), Head((bytes(32),)), Head(expiry_ns=1))}
    assert len(keys) == 3


def test_every_changed_bit_is_found() -> None:
    """False if a reader takes a content that is not what was written."""
    chunk, read = encrypted(b"some content, some bytes")
    for bit in range(8 * len(chunk)):
        changed = bytearray(chunk)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises(ChunkError):
            decrypted(bytes(changed), read.key)


@given(st.binary(max_size=100))
def test_bytes_that_are_no_chunk_are_refused(data: bytes) -> None:
    """False if a keeper fails at bytes from outside, instead of answering."""
    for start in (b"", b"EHC1", b"EHC1\0\0\0\4"):
        with pytest.raises(ChunkError):
            head_of(start + data)


def test_a_chunk_has_a_size() -> None:
    """False if a chunk may grow beyond what a keeper takes."""
    encrypted(bytes(CONTENT_BYTES_MAX))
    with pytest.raises(ChunkError):
        encrypted(bytes(CONTENT_BYTES_MAX + 1))


def test_readers_of_an_access_list_and_nobody_else_can_read() -> None:
    """False if a reader is locked out, or somebody else gets the key."""
    ann, ben, eve = person(1), person(2), person(3)
    chunk, read = encrypted(b"content")
    access, _ = access_chunk(read, (public_of(ann), public_of(ben)), ann, bytes(range(64)))
    for reader in (ann, ben):
        assert decrypted(chunk, opened_access(head_of(access), reader).key) == b"content"
    with pytest.raises(ChunkError, match="not on the access list"):
        opened_access(head_of(access), eve)
    acl = head_of(access).acl
    assert acl is not None
    assert acl.signed is not None
    assert acl.signed.key == public_of(ann)
    assert read.key not in access
    forged = Head(head_of(access).children, acl=AccessList(acl.members, 1, acl.signed))
    with pytest.raises(ChunkError, match="not signed"):
        opened_access(forged, ann)


def test_a_commitment_is_the_promise_of_one_identity_about_one_chunk_and_time() -> None:
    """False if a promise can be moved to another chunk, prolonged, or made for somebody else."""
    ann, chunk, other = person(1), bytes(32), bytes([1]) * 32
    made = ChunkCommitment(chunk, 9, sign(ann, promise(chunk, 9)))
    assert made.is_valid
    assert not ChunkCommitment(other, 9, made.signed).is_valid
    assert not ChunkCommitment(chunk, 10, made.signed).is_valid
    forged = sign(person(2), promise(chunk, 9))
    assert ChunkCommitment(chunk, 9, forged).node != made.node
