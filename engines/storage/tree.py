"""A file as a tree of chunks: its pieces are leaves, and inner nodes have the keys and sizes of what is below.

A leaf is a chunk without children. The content of an inner node is its height and, for each child, key and size. The
height falls by one at each step, so no tree is deeper than it says. Both directions hold one node a level in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from engines.crypto.keys import KEY_BYTES
from engines.model import Value, encode
from engines.model.values import Decoder
from engines.storage.chunk import CHILDREN_MAX, ChunkError, Head, ReadKey, decrypted, encrypted, head_of

HEIGHT_MAX: Final = 4
"""Of 1,024 children a node: 2^60 bytes."""


class Below(Value):
    """A child: its key, and the bytes of the file in it."""

    key: Annotated[bytes, Meta(min_length=KEY_BYTES, max_length=KEY_BYTES)]
    size_bytes: Annotated[int, Meta(ge=0)]


class Inner(Value):
    """The content of an inner node."""

    height: Annotated[int, Meta(ge=1, le=HEIGHT_MAX)]
    below: Annotated[tuple[Below, ...], Meta(min_length=1, max_length=CHILDREN_MAX)]


class Leaf(Value):
    """A piece of the file: what it takes to read it, and its size, -1 if only the chunk says it."""

    read: ReadKey
    size_bytes: int


_DECODER: Final[Decoder[Inner]] = Decoder(Inner)


class TreeWriter:
    """Makes the inner nodes of leaves that are added in order; `store` gets each node as soon as it is complete."""

    def __init__(self, store: Callable[[bytes], None], secret: bytes = b"") -> None:
        self._store = store
        self._secret = secret
        self._levels: list[list[Leaf]] = [[]]

    def add(self, leaf: ReadKey, size_bytes: int) -> None:
        """The next leaf. Raises ChunkError beyond `HEIGHT_MAX`."""
        self._add(0, Leaf(leaf, size_bytes))

    def finish(self) -> ReadKey:
        """The top of the tree. Raises ChunkError if there is no leaf."""
        for level, nodes in enumerate(self._levels):  # closing a level may add another
            if level == len(self._levels) - 1 and len(nodes) == 1:
                return nodes[0].read
            if nodes:
                self._close(level)
        raise ChunkError("a tree without leaves")

    def _add(self, level: int, node: Leaf) -> None:
        if level == len(self._levels):
            self._levels.append([])
        self._levels[level].append(node)
        if len(self._levels[level]) == CHILDREN_MAX:
            self._close(level)

    def _close(self, level: int) -> None:
        nodes, self._levels[level] = self._levels[level], []
        if level >= HEIGHT_MAX:
            raise ChunkError(f"a tree higher than {HEIGHT_MAX}")
        content = Inner(level + 1, tuple(Below(node.read.key, node.size_bytes) for node in nodes))
        head = Head(tuple(node.read.address for node in nodes))
        chunk, read = encrypted(encode(content), head, self._secret)
        self._store(chunk)
        self._add(level + 1, Leaf(read, sum(node.size_bytes for node in nodes)))


def size_of(read: ReadKey, chunk: bytes) -> int:
    """The size of the file whose top is `chunk`. Raises ChunkError."""
    head = head_of(chunk)
    if not head.children:
        return len(decrypted(chunk, read.key))
    return sum(child.size_bytes for child in _inner(head, chunk, read.key).below)


def leaves(read: ReadKey, fetch: Callable[[bytes], bytes]) -> Iterator[Leaf]:
    """The leaves of a tree in order; `fetch` gives the chunk at an address. Raises ChunkError."""
    chunk = fetch(read.address)
    head = head_of(chunk)
    if not head.children:
        yield Leaf(read, -1)
        return
    yield from _below(head, _inner(head, chunk, read.key), fetch)


def _inner(head: Head, chunk: bytes, key: bytes) -> Inner:
    try:
        inner = _DECODER.decode(decrypted(chunk, key))
    except msgspec.MsgspecError as error:
        raise ChunkError(f"an inner node: {error}") from None
    if len(inner.below) != len(head.children):
        raise ChunkError(f"an inner node has {len(head.children)} children and {len(inner.below)} keys")
    return inner


def _below(head: Head, inner: Inner, fetch: Callable[[bytes], bytes]) -> Iterator[Leaf]:
    for address, child in zip(head.children, inner.below, strict=True):
        if inner.height == 1:
            yield Leaf(ReadKey(address, child.key), child.size_bytes)
            continue
        chunk = fetch(address)
        found = head_of(chunk)
        node = _inner(found, chunk, child.key)
        if node.height != inner.height - 1:
            raise ChunkError(f"a node of height {node.height} below one of {inner.height}")
        yield from _below(found, node, fetch)
