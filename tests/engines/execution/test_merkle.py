"""Merkle trees: proofs, and roots that depend on content alone."""

from __future__ import annotations

import random

import pytest

from engines.execution.keyspace import DEPTH, place_of, shard_of, shard_root, state_root
from engines.execution.merkle import Tree, empty_hash, leaf_hash, proof, root_of, verifies, with_leaves
from engines.model import Map

LEAVES = {place: leaf_hash(bytes([place])) for place in range(5)}


def tree(leaves: dict[int, bytes], depth: int) -> Tree:
    return with_leaves(Map(), depth, leaves)


def test_commitment_tree() -> None:
    """False if in a tree of depth 32 a proof did not show its own leaf, or showed another one; or if leaves one by one
    made another tree than in one batch (vector: commitment tree)."""
    batch = tree(LEAVES, 32)
    root = root_of(batch, 32)
    for place, leaf in LEAVES.items():
        assert verifies(root, place, leaf, proof(batch, 32, place))
        assert not verifies(root, place, leaf, proof(batch, 32, place + 1))
    one_by_one: Tree = Map()
    for place, leaf in LEAVES.items():
        one_by_one = with_leaves(one_by_one, 32, {place: leaf})
    assert one_by_one == batch


def test_a_proof_is_for_one_place_and_one_root() -> None:
    """False if a proof showed a leaf at another place, in another tree, or at a place beyond the tree."""
    root = root_of(tree(LEAVES, 32), 32)
    beside = proof(tree(LEAVES, 32), 32, 2)
    assert not verifies(root, 3, LEAVES[2], beside)
    assert not verifies(root, 2 + (1 << 32), LEAVES[2], beside)
    assert not verifies(root_of(tree({2: LEAVES[2]}, 32), 32), 2, LEAVES[2], beside)
    assert not verifies(root, 2, LEAVES[2], beside[:-1])


def test_an_empty_tree_has_the_root_of_empty_subtrees() -> None:
    """False if the root of nothing depended on who computes it."""
    assert root_of(Map(), 8) == empty_hash(8)
    assert root_of(tree({3: LEAVES[0]}, 8), 8) != empty_hash(8)


@pytest.mark.parametrize("shards", [1, 2, 4, 16])
def test_the_state_root_is_the_same_for_any_number_of_shards(shards: int) -> None:
    """False if nodes with another number of shards could not agree on a state root."""
    keys = [b"key %d" % number for number in range(200)]
    random.Random(shards).shuffle(keys)
    trees: list[Tree] = [Map() for _ in range(shards)]
    for key in keys:
        shard = shard_of(key, shards)
        trees[shard] = with_leaves(trees[shard], DEPTH, {place_of(key): leaf_hash(key, b"1")})
    whole = with_leaves(Map(), DEPTH, {place_of(key): leaf_hash(key, b"1") for key in keys})
    assert state_root(shard_root(one, shard, shards) for shard, one in enumerate(trees)) == root_of(whole, DEPTH)
