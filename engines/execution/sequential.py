"""What execution must give: the same transactions, one after the other, on one map of keys. No locks, no versions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from engines.model import Value

from .run import Done, Fault, Needs, run_program
from .transactions import Access, TransactionCandidate


class Step(Value):
    """What a transaction read and wrote in the sequential run, and its error."""

    read: tuple[Access, ...]
    written: tuple[Access, ...]
    error: str


def sequential(
    txs: Sequence[TransactionCandidate], before: Mapping[bytes, bytes] | None = None
) -> tuple[list[Step], dict[bytes, bytes]]:
    """What each transaction does when it runs alone, after those before it, and the keys at the end."""
    keys = dict(before or {})
    steps = []
    for tx in txs:
        values: dict[bytes, bytes | None] = {key: keys.get(key) for key in tx.label.read}
        ran = run_program(tx, values)
        while isinstance(ran, Needs):
            values[ran.key] = keys.get(ran.key)
            ran = run_program(tx, values)
        read = tuple(Access(key, datum) for key, datum in sorted(values.items()))
        if isinstance(ran, Fault):
            steps.append(Step(read, (), ran.error))
            continue
        steps.append(Step(read, _accesses(ran), ""))
        keys.update(ran.writes)
    return steps, keys


def _accesses(done: Done) -> tuple[Access, ...]:
    return tuple(Access(key, datum) for key, datum in sorted(done.writes))
