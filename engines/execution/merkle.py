"""The state tree: a Merkle tree of a fixed depth with 16 children a node, most of its places empty.

The root is node 1, the children of n are 16n to 16n + 15, and place i of a tree of depth d (in bits, a multiple of
`BITS`) is node 2**d + i. A tree is a `Map` from the number of a node to its block: the hashes of its children, one
behind the other. The hash of a node is that of its block. An empty subtree is not in the map; its hash is that of its
height. So the root depends on what is in the tree, and not on the order in which it came.

With 16 children a change costs a quarter of the hashes of a binary tree, and a proof is four times as long: roots are
computed at each height, proofs are asked for now and then.

Leaves and nodes are hashed under different names (BLAKE2b, `person`), so a node cannot be shown as a leaf.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from hashlib import blake2b
from typing import Final, TypeAlias

from engines.model import Map

Tree: TypeAlias = Map[int, bytes]

BITS: Final = 4
"""Of a place, for the way from a node to its child."""
CHILDREN: Final = 1 << BITS
HASH_BYTES: Final = 32
EMPTY_LEAF: Final = bytes(HASH_BYTES)
_NODE: Final = blake2b(digest_size=HASH_BYTES, person=b"node")


def leaf_hash(*parts: bytes) -> bytes:
    """The hash of a leaf with these parts; their lengths go in, so parts cannot be moved from one to the next."""
    text = b"".join([len(part).to_bytes(8, "big") + part for part in parts])
    return blake2b(text, digest_size=HASH_BYTES, person=b"leaf").digest()


def node_hash(block: bytes | bytearray) -> bytes:
    """The hash of a node over the hashes of its children, one behind the other."""
    hasher = _NODE.copy()
    hasher.update(block)
    return hasher.digest()


@cache
def empty_hash(depth: int) -> bytes:
    """The hash of an empty tree."""
    return node_hash(empty_block(depth)) if depth else EMPTY_LEAF


@cache
def empty_block(depth: int) -> bytes:
    """The block at the root of an empty tree."""
    return empty_hash(depth - BITS) * CHILDREN


def with_leaves(tree: Tree, depth: int, leaves: Mapping[int, bytes]) -> Tree:
    """The tree with these hashes at their places; each node above is hashed once, however many of them it is over."""
    level = {(1 << depth) + place: leaf for place, leaf in leaves.items()}
    changed: dict[int, bytes] = {}
    for height in range(BITS, depth + 1, BITS):
        blocks: dict[int, bytearray] = {}
        empty = empty_block(height)
        for child, found in level.items():
            number = child >> BITS
            if (block := blocks.get(number)) is None:
                block = blocks[number] = bytearray(tree.get(number, empty))
            at = child % CHILDREN * HASH_BYTES
            block[at : at + HASH_BYTES] = found
        level = {number: node_hash(block) for number, block in blocks.items()}
        changed.update((number, bytes(block)) for number, block in blocks.items())
    return tree.updated(changed)


def root_of(tree: Tree, depth: int) -> bytes:
    """The hash of the root."""
    return node_hash(tree.get(1, empty_block(depth)))


def proof(tree: Tree, depth: int, place: int) -> tuple[bytes, ...]:
    """The hashes beside the way from a place to the root: those of each block but for the one on the way, the lowest
    block first."""
    number = (1 << depth) + place
    beside: list[bytes] = []
    for height in range(BITS, depth + 1, BITS):
        block, at = tree.get(number >> height, empty_block(height)), _place_in_block(number >> height - BITS)
        beside.append(block[:at] + block[at + HASH_BYTES :])
    return tuple(beside)


def verifies(root: bytes, place: int, leaf: bytes, beside: Iterable[bytes]) -> bool:
    """Whether a proof shows that the tree with this root has `leaf` at `place`."""
    found = leaf
    for others in beside:
        at = _place_in_block(place)
        found = node_hash(others[:at] + found + others[at:])
        place >>= BITS
    return found == root and not place


def _place_in_block(number: int) -> int:
    """Where the hash of a node is in the block of its parent."""
    return number % CHILDREN * HASH_BYTES
