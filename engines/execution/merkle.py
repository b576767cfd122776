"""Merkle trees of a fixed depth, with most places empty: commitments by number, and the state by key.

A tree is a `Map` from the number of a node to the hashes of its two children, one behind the other. The root is 1, the
children of n are 2n and 2n + 1, and place i of a tree of depth d is node 2**d + i. An empty subtree is not in the map;
its hash is that of its depth. So the root depends on what is in the tree, and not on the order in which it came.

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


def leaf_hash(*parts: bytes) -> bytes:
    """The hash of a leaf with these parts; their lengths go in, so parts cannot be moved from one to the next."""
    text = b"".join(len(part).to_bytes(8, "big") + part for part in parts)
    return blake2b(text, digest_size=HASH_BYTES, person=b"leaf").digest()


def pair_hash(pair: bytes) -> bytes:
    """The hash of a node over the hashes of its children, one behind the other."""
    return blake2b(pair, digest_size=HASH_BYTES, person=b"node").digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of a node over its children."""
    return pair_hash(left + right)


@cache
def empty_hash(height: int) -> bytes:
    """The hash of an empty subtree, so many levels above its leaves."""
    return node_hash(empty_hash(height - 1), empty_hash(height - 1)) if height else EMPTY_LEAF


def with_leaves(tree: Tree, depth: int, leaves: Mapping[int, bytes]) -> Tree:
    """The tree with these hashes at their places; each node above is hashed once, however many of them it is over."""
    level = {(1 << depth) + place: leaf for place, leaf in leaves.items()}
    changed: dict[int, bytes] = {}
    for height in range(depth):
        empty = empty_hash(height) * 2
        above: dict[int, bytes] = {}
        for child, found in level.items():
            number = child >> 1
            pair = above[number] if number in above else tree.get(number, empty)
            above[number] = pair[:HASH_BYTES] + found if child & 1 else found + pair[HASH_BYTES:]
        changed |= above
        level = {number: pair_hash(pair) for number, pair in above.items()}
    return tree.updated(changed)


def node_of(tree: Tree, depth: int, number: int = 1) -> bytes:
    """The hash of a node, the root unless another is named."""
    height = depth + 1 - number.bit_length()
    if height:
        pair = tree.get(number)
        return empty_hash(height) if pair is None else pair_hash(pair)
    above = tree.get(number >> 1, EMPTY_LEAF * 2)
    return above[HASH_BYTES:] if number & 1 else above[:HASH_BYTES]


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
