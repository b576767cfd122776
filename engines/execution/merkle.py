"""Merkle trees of a fixed depth, with most places empty: commitments by number, and the state by key.

The root is node 1, the children of n are 2n and 2n + 1, and place i of a tree of depth d is node 2**d + i. The height
of a node is its distance from the leaves.

A tree is a `Map` from the number of each node of an even height, above the leaves, to a block: the hashes of its two
children, then those of its four grandchildren. So a change costs half as many entries of the map as there are levels. A
root of an odd height has a block of its children only. An empty subtree is not in the map; its hash is that of its
height. So the root depends on what is in the tree, and not on the order in which it came.

Leaves and nodes are hashed under different names (BLAKE2b, `person`), so a node cannot be shown as a leaf.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from hashlib import blake2b
from typing import Final, TypeAlias

from engines.model import Map

Tree: TypeAlias = Map[int, bytes]

HASH_BYTES: Final = 32
EMPTY_LEAF: Final = bytes(HASH_BYTES)
_NODE: Final = blake2b(digest_size=HASH_BYTES, person=b"node")
_GRANDCHILDREN: Final = 2 * HASH_BYTES
"""Where the grandchildren begin in a block."""


def leaf_hash(*parts: bytes) -> bytes:
    """The hash of a leaf with these parts; their lengths go in, so parts cannot be moved from one to the next."""
    text = b"".join(len(part).to_bytes(8, "big") + part for part in parts)
    return blake2b(text, digest_size=HASH_BYTES, person=b"leaf").digest()


def pair_hash(pair: bytes | bytearray) -> bytes:
    """The hash of a node over the hashes of its children, one behind the other."""
    hasher = _NODE.copy()
    hasher.update(pair)
    return hasher.digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of a node over its children."""
    return pair_hash(left + right)


@cache
def empty_hash(height: int) -> bytes:
    """The hash of an empty subtree, so many levels above its leaves."""
    return node_hash(empty_hash(height - 1), empty_hash(height - 1)) if height else EMPTY_LEAF


@cache
def _empty_block(height: int) -> bytes:
    """The block of an empty subtree."""
    children = empty_hash(height - 1) * 2
    return children if height % 2 else children + empty_hash(height - 2) * 4


def with_leaves(tree: Tree, depth: int, leaves: Mapping[int, bytes]) -> Tree:
    """The tree with these hashes at their places; each node above is hashed once, however many of them it is over."""
    level = {(1 << depth) + place: leaf for place, leaf in leaves.items()}
    changed: dict[int, bytes] = {}
    for height in range(2, depth + 1, 2):
        blocks: dict[int, bytearray] = {}
        children: dict[int, bytearray] = {}
        empty = _empty_block(height)
        for grandchild, found in level.items():
            number = grandchild >> 2
            if (block := blocks.get(number)) is None:
                block = blocks[number] = bytearray(tree.get(number, empty))
            at = _GRANDCHILDREN + (grandchild & 3) * HASH_BYTES
            block[at : at + HASH_BYTES] = found
            children[grandchild >> 1] = block
        for child, block in children.items():
            at, below = (child & 1) * HASH_BYTES, _GRANDCHILDREN + (child & 1) * 2 * HASH_BYTES
            block[at : at + HASH_BYTES] = pair_hash(block[below : below + 2 * HASH_BYTES])
        level = {number: pair_hash(block[:_GRANDCHILDREN]) for number, block in blocks.items()}
        changed.update((number, bytes(block)) for number, block in blocks.items())
    if depth % 2 and level:
        pair = bytearray(tree.get(1, _empty_block(depth)))
        for child, found in level.items():
            pair[(child & 1) * HASH_BYTES : ((child & 1) + 1) * HASH_BYTES] = found
        changed[1] = bytes(pair)
    return tree.updated(changed)


def node_of(tree: Tree, depth: int, number: int = 1) -> bytes:
    """The hash of a node, the root unless another is named."""
    height = depth + 1 - number.bit_length()
    if number == 1 or (height and height % 2 == 0):
        block = tree.get(number)
        return empty_hash(height) if block is None else pair_hash(block[:_GRANDCHILDREN])
    is_child = height % 2 == 1 or number < 4
    block = tree.get(number >> 1 if is_child else number >> 2)
    if block is None:
        return empty_hash(height)
    at = (number & 1) * HASH_BYTES if is_child else _GRANDCHILDREN + (number & 3) * HASH_BYTES
    return block[at : at + HASH_BYTES]


def proof(tree: Tree, depth: int, place: int) -> tuple[bytes, ...]:
    """The hashes beside the way from a place to the root, the lowest first."""
    number = (1 << depth) + place
    return tuple(node_of(tree, depth, (number >> height) ^ 1) for height in range(depth))


def root_from(place: int, leaf: bytes, beside: Iterable[bytes]) -> bytes:
    """The root of the tree that a proof is about; b"" for a place outside of it."""
    found = leaf
    for other in beside:
        found = node_hash(other, found) if place & 1 else node_hash(found, other)
        place >>= 1
    return b"" if place else found


def verifies(root: bytes, place: int, leaf: bytes, beside: Iterable[bytes]) -> bool:
    """Whether a proof shows that the tree with this root has `leaf` at `place`."""
    return root_from(place, leaf, beside) == root
