"""Where keys are: the place of a key in the state tree, and the shard that holds it.

The state root is the root of a Merkle tree (see `merkle`) with a leaf for each place: the hash of the keys and values
there, in the order of the keys. A shard holds the places that begin with the bits of its number, so the number of
shards is a power of two, each computes the root of its subtree, and the state root is the same for any number of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import Final

from .merkle import node_hash

DEPTH: Final = 16
"""Of the state tree: keys share its 65,536 places evenly, and a change costs 16 hashes at most."""


def place_of(key: bytes) -> int:
    """The place of a key in the state tree."""
    return int.from_bytes(blake2b(key, digest_size=DEPTH // 8, person=b"place").digest(), "big")


def shard_of(key: bytes, shards: int) -> int:
    """The shard that holds a key, of so many shards."""
    return place_of(key) * shards >> DEPTH if shards > 1 else 0


def state_root(shard_roots: Sequence[bytes]) -> bytes:
    """The state root over the roots of all shards, in their order."""
    level = list(shard_roots)
    while len(level) > 1:
        level = [node_hash(left, right) for left, right in zip(level[::2], level[1::2], strict=True)]
    return level[0]
