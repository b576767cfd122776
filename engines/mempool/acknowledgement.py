"""What an acknowledgement is signed for, and how a client verifies it. Pure.

A batch has one signature, however many requests are in it. It covers the root of a Merkle tree with a leaf for each
request, and an acknowledgement has the hashes between its own leaf and that root. So the node's identity is all that a
client needs to show later that the node took its transactions: those of its request, in this order.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from engines.crypto.keys import identity_of, is_valid
from engines.execution.merkle import leaf_hash, node_of, proof, root_from, with_leaves
from engines.model import Map, encode

from .messages import TransactionAck

TAG: Final = b"enginehost acknowledgement 1\0"


def signed_text(worker_id: str, number: int, batch_start_ns: int, digest: bytes, root: bytes) -> bytes:
    """The bytes that the node signs for a batch whose requests have this root."""
    return TAG + encode((worker_id, number, batch_start_ns, digest, root))


def root_and_proofs(requests: Sequence[tuple[bytes, ...]]) -> tuple[bytes, list[tuple[bytes, ...]]]:
    """The root over the requests of a batch, each the hashes of its transactions; and the proof of each request."""
    depth = max(1, (len(requests) - 1).bit_length())
    tree = with_leaves(Map(), depth, {place: leaf_hash(*hashes) for place, hashes in enumerate(requests)})
    return node_of(tree, depth), [proof(tree, depth, place) for place in range(len(requests))]


def is_acknowledged_by(identity: bytes, ack: TransactionAck) -> bool:
    """Whether the node with this identity signed that it took these transactions."""
    if ack.signature is None or identity_of(ack.signature.key) != identity:
        return False
    root = root_from(ack.place, leaf_hash(*ack.tx_hashes), ack.proof)
    text = signed_text(ack.worker_id, ack.batch_number, ack.batch_start_ns, ack.batch_digest, root)
    return is_valid(ack.signature, text)
