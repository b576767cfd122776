"""Random transactions over a few hot keys: reads, blind writes, perhaps writes, lazy reads, and many that fail."""

from __future__ import annotations

from random import Random

from engines.execution.nouns import jam
from engines.execution.programs import candidate
from engines.execution.system import nock_increment, with_label
from engines.execution.transactions import Label, TransactionCandidate

KEYS = (b"a", b"b", b"c")


def random_transactions(chance: Random, count: int) -> list[TransactionCandidate]:
    """So many, no two of them equal."""
    return [random_transaction(chance, b"%d" % number) for number in range(count)]


def random_transaction(chance: Random, nonce: bytes) -> TransactionCandidate:
    """One transaction of any kind."""
    key, other, third = (chance.choice(KEYS) for _ in range(3))
    amount = jam(chance.randrange(4))
    match chance.randrange(10):
        case 0:
            return candidate("write", key, amount, nonce=nonce)
        case 1:
            return candidate("increment", key, nonce=nonce)
        case 2:
            return candidate("inc", key, nonce=nonce)
        case 3:
            return candidate("transfer", key, other, amount, nonce=nonce)
        case 4:
            return candidate("write_if", key, other, amount, nonce=nonce)
        case 5:
            return candidate("follow", key, other, key, other, third, nonce=nonce)
        case 6:
            return candidate("successor", key, other, nonce=nonce)
        case 7:
            return candidate("look", *dict.fromkeys((key, other, third)), nonce=nonce)
        case 8:
            label = Label(read=(key,), write=(other,), may_write=(third,))  # too little for some of what it does
            return with_label(label, "transfer", key, other, amount, nonce=nonce)
        case _:
            return nock_increment(chance.choice((1, (1, 2))), nonce)
