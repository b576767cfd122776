"""Trees: a file comes back piece by piece, and a tree that lies about its shape is refused."""

from __future__ import annotations

import pytest

from engines.model import encode
from engines.storage import tree
from engines.storage.chunk import ChunkError, Head, ReadKey, address_of, decrypted, encrypted
from engines.storage.tree import Below, Inner, TreeWriter, leaves, size_of


def written(pieces: list[bytes]) -> tuple[ReadKey, dict[bytes, bytes]]:
    chunks: dict[bytes, bytes] = {}

    def store(chunk: bytes) -> None:
        chunks[address_of(chunk)] = chunk

    writer = TreeWriter(store)
    for piece in pieces:
        chunk, read = encrypted(piece)
        store(chunk)
        writer.add(read, len(piece))
    return writer.finish(), chunks


@pytest.mark.parametrize("count", [1, 2, 3, 4, 9, 10, 27, 28])
def test_the_pieces_come_back_in_order(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """False if a tree of any shape loses, repeats or reorders a piece."""
    monkeypatch.setattr(tree, "CHILDREN_MAX", 3)
    pieces = [b"%d" % n * n for n in range(count)]
    top, chunks = written(pieces)
    found = list(leaves(top, chunks.__getitem__))
    assert [decrypted(chunks[leaf.read.address], leaf.read.key) for leaf in found] == pieces
    assert size_of(top, chunks[top.address]) == sum(map(len, pieces))
    assert count == 1 or [leaf.size_bytes for leaf in found] == [len(piece) for piece in pieces]


def test_a_tree_without_leaves_is_refused() -> None:
    """False if nothing has an address: an empty file is one empty piece."""
    with pytest.raises(ChunkError):
        written([])


def test_a_tree_that_lies_about_its_shape_is_refused() -> None:
    """False if a made-up tree can send its reader deeper than it says, or read beside its keys."""
    chunk, read = encrypted(b"piece")
    low, low_read = encrypted(encode(Inner(1, (Below(read.key, 5),))), Head((read.address,)))
    high, high_read = encrypted(encode(Inner(3, (Below(low_read.key, 5),))), Head((low_read.address,)))
    few, few_read = encrypted(encode(Inner(1, (Below(read.key, 5),))), Head((read.address, read.address)))
    bad, bad_read = encrypted(b"no inner node", Head((read.address,)))
    chunks = {r.address: c for c, r in [(chunk, read), (low, low_read), (high, high_read), (few, few_read)]}
    chunks[bad_read.address] = bad
    assert len(list(leaves(low_read, chunks.__getitem__))) == 1
    for top in (high_read, few_read, bad_read):
        with pytest.raises(ChunkError):
            list(leaves(top, chunks.__getitem__))
