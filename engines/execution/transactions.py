"""Transactions: what a user submits, and what became of it. Values only, shared by the families that handle them.

A transaction is known by the hash of its bytes, and travels as these bytes: they are read where a field is needed, by
the dispatcher and by the executor, and are a single value to everything between. A client may write them, or leave that
to the first who takes a transaction (`WrittenTransaction`).
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import blake2b
from typing import Final, TypeAlias

from engines.model import Value, encode
from engines.model.values import Decoder

GAS_MAX: Final = 100_000
"""Gas that a transaction gets when it asks for no other amount; more it cannot get. A Nock program takes some tenths of
a second to use it up, and its executor does nothing else meanwhile."""


class Label(Value):
    """The keys that a transaction may touch. It cannot touch others: an attempt fails it.

    `read` is read for certain, and served without being asked for; `lazy_read` perhaps. `write` is written for certain,
    `may_write` perhaps; a later reader waits for both until they are written or released.
    """

    read: tuple[bytes, ...] = ()
    write: tuple[bytes, ...] = ()
    lazy_read: tuple[bytes, ...] = ()
    may_write: tuple[bytes, ...] = ()

    def covers(self, other: Label) -> bool:
        """Whether whatever `other` allows is allowed here."""
        return {*other.read, *other.lazy_read} <= {*self.read, *self.lazy_read} and {
            *other.write,
            *other.may_write,
        } <= {*self.write, *self.may_write}


class Executable(Value):
    """A program by its name, with its arguments. `NOCK` is one of them: its argument is the jam of a formula."""

    program: str
    args: tuple[bytes, ...] = ()


NOCK: Final = "nock"


class TransactionCandidate(Value):
    """What a user submits. Two equal candidates are one transaction; `nonce` tells apart what is meant twice."""

    label: Label
    executable: Executable
    nonce: bytes = b""
    gas: int = GAS_MAX


read_candidate: Final[Callable[[bytes], TransactionCandidate]] = Decoder(TransactionCandidate).decode
"""The transaction of its bytes, as `encode` gives them. Raises msgspec.MsgspecError for others."""


WrittenTransaction: TypeAlias = TransactionCandidate | bytes
"""A transaction by its fields, or as its bytes, which need not be read on the way."""


def tx_bytes(tx: WrittenTransaction) -> bytes:
    """The bytes of a transaction."""
    return tx if isinstance(tx, bytes) else encode(tx)


def bytes_hash(tx: bytes) -> bytes:
    """The name of a transaction: the hash of its bytes."""
    return blake2b(tx, digest_size=32, person=b"transaction").digest()


def tx_hash(tx: WrittenTransaction) -> bytes:
    """The name of a transaction: the hash of its bytes."""
    return bytes_hash(tx_bytes(tx))


class Access(Value):
    """A key with the value that was read or written there; None: absent."""

    key: bytes
    datum: bytes | None


class Summary(Value):
    """What became of a transaction. `error` is empty for success; then `values_written` are in force.

    A transaction that was not run has neither timestamp nor height: both are 0.
    """

    tx_hash: bytes
    timestamp: int
    height: int
    error: str
    gas: int
    values_read: tuple[Access, ...] = ()
    values_written: tuple[Access, ...] = ()

    @property
    def success(self) -> bool:
        """Whether its writes are in force."""
        return not self.error
