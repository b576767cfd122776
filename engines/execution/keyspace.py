"""Where keys are: the place of a key in the state tree, and the shard that holds it.

The state root is the root of a Merkle tree (see `merkle`) with a leaf for each place: the hash of the keys and values
there, in the order of the keys. A shard holds the places that begin with the bits of its number, so the number of
shards is a power of two. Each computes its part of the block at the root, so there are at most as many shards as a node
has children, and the state root is the same for any number of them.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from hashlib import blake2b
from typing import Final

from .merkle import CHILDREN, HASH_BYTES, Tree, empty_block, node_hash

DEPTH: Final = 16
"""Of the state tree, in bits: keys share its 65,536 places evenly, and a change costs four hashes."""

SHARDS_MAX: Final = CHILDREN
PLACES_KNOWN: Final = 1 << 14


@lru_cache(PLACES_KNOWN)
def place_of(key: bytes) -> int:
    """The place of a key in the state tree."""
    return int.from_bytes(blake2b(key, digest_size=DEPTH // 8, person=b"place").digest(), "big")


def shard_of(key: bytes, shards: int) -> int:
    """The shard that holds a key, of so many shards."""
    return place_of(key) * shards >> DEPTH if shards > 1 else 0


def shard_root(tree: Tree, shard: int, shards: int) -> bytes:
    """The part of the block at the root that is over the places of a shard."""
    size = CHILDREN // shards * HASH_BYTES
    return tree.get(1, empty_block(DEPTH))[shard * size : (shard + 1) * size]


def state_root(shard_roots: Iterable[bytes]) -> bytes:
    """The state root over the parts of all shards, in their order."""
    return node_hash(b"".join(shard_roots))
