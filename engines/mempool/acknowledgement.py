"""What an acknowledgement is signed for, and how a client verifies it. Pure.

A batch has one signature, however many requests are in it. It covers the root of a binary Merkle tree with a leaf for
each request, and an acknowledgement has the hashes between its own leaf and that root. So the node's identity is all
that a client needs to show later that the node took its transactions: those of its request, in this order.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from engines.crypto.keys import identity_of, is_valid
from engines.execution.merkle import EMPTY_LEAF, leaf_hash, node_hash
from engines.model import encode

from .messages import TransactionAck

TAG: Final = b"enginehost acknowledgement 1\0"


def signed_text(worker_id: str, number: int, batch_start_ns: int, digest: bytes, root: bytes) -> bytes:
    """The bytes that the node signs for a batch whose requests have this root."""
    return TAG + encode((worker_id, number, batch_start_ns, digest, root))


def root_and_proofs(requests: Sequence[tuple[bytes, ...]]) -> tuple[bytes, list[tuple[bytes, ...]]]:
    """The root over the requests of a batch, each the hashes of its transactions; and the proof of each request: the
    hashes beside the way to the root, the lowest first."""
    level = [leaf_hash(*hashes) for hashes in requests]
    beside: list[list[bytes]] = [[] for _ in requests]
    empty, height = EMPTY_LEAF, 0
    while len(level) > 1 or not height:
        level += [empty] * (len(level) % 2)
        for place, hashes in enumerate(beside):
            hashes.append(level[place >> height ^ 1])
        level = [node_hash(left + right) for left, right in zip(level[::2], level[1::2], strict=True)]
        empty, height = node_hash(empty * 2), height + 1
    return level[0], list(map(tuple, beside))


def root_from(place: int, leaf: bytes, beside: Iterable[bytes]) -> bytes:
    """The root of the tree that a proof is about; b"" for a place outside of it."""
    found = leaf
    for other in beside:
        found = node_hash(other + found if place & 1 else found + other)
        place >>= 1
    return b"" if place else found


def is_acknowledged_by(identity: bytes, ack: TransactionAck) -> bool:
    """Whether the node with this identity signed that it took these transactions."""
    if ack.signature is None or identity_of(ack.signature.key) != identity:
        return False
    root = root_from(ack.place, leaf_hash(*ack.tx_hashes), ack.proof)
    text = signed_text(ack.worker_id, ack.batch_number, ack.batch_start_ns, ack.batch_digest, root)
    return is_valid(ack.signature, text)
