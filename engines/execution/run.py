"""One run of a program on the values that were read so far: a pure function of both, whoever runs it, however often.

An executor begins each run anew, so a crash in between decides nothing. A run ends in one of three ways: it needs a
value that is not here, it is done, or it failed. Only the program, its label and its gas fail a transaction, all three
the same everywhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, TypeAlias

from engines.model import Value

from .nock import OutOfGasError
from .nock_program import run_nock
from .programs import ProgramError, Read, found
from .transactions import GAS_MAX, NOCK, TransactionCandidate

DATUM_BYTES_MAX: Final = 1 << 16
"""Of a value that a program writes."""

PROGRAM_GAS: Final = 1
KEY_GAS: Final = 1
"""Of a named program: itself, and each key it reads or writes."""


class Needs(Value):
    """The run cannot go on without the value of this key."""

    key: bytes


class Done(Value):
    """The run is over: what it writes."""

    writes: tuple[tuple[bytes, bytes], ...]
    gas: int


class Fault(Value):
    """The transaction failed, and writes nothing."""

    error: str
    gas: int


Ran: TypeAlias = Needs | Done | Fault


class _UnreadError(Exception):
    """A read of a key whose value is not here yet."""

    def __init__(self, key: bytes) -> None:
        self.key = key


def run_program(tx: TransactionCandidate, values: Mapping[bytes, bytes | None]) -> Ran:
    """How far the program comes with these values."""
    if tx.gas > GAS_MAX:
        return Fault(f"it asks for {tx.gas} gas; the most is {GAS_MAX}", 0)
    read = _reader(tx, values)
    try:
        writes, gas = _run(tx, read)
    except _UnreadError as unread:
        return Needs(unread.key)
    except OutOfGasError as error:
        return Fault(str(error), tx.gas)
    except ProgramError as error:
        return Fault(str(error), 0)
    return _checked(tx, writes, gas)


def _reader(tx: TransactionCandidate, values: Mapping[bytes, bytes | None]) -> Read:
    def read(key: bytes) -> bytes | None:
        if key in values:
            return values[key]
        if key not in tx.label.read and key not in tx.label.lazy_read:
            raise ProgramError(f"read of a key that is not in the label: 0x{key.hex()}")
        raise _UnreadError(key)

    return read


def _run(tx: TransactionCandidate, read: Read) -> tuple[Mapping[bytes, bytes], int]:
    executable = tx.executable
    if executable.program == NOCK:
        if len(executable.args) != 1:
            raise ProgramError(f"nock takes the jam of a formula, not {len(executable.args)} arguments")
        return run_nock(executable.args[0], read, tx.gas)
    program = found(executable)
    gas = PROGRAM_GAS + KEY_GAS * sum(map(len, _keys(tx)))
    if gas > tx.gas:
        raise OutOfGasError("out of gas")
    return program.run(read, *executable.args), gas


def _keys(tx: TransactionCandidate) -> tuple[tuple[bytes, ...], ...]:
    label = tx.label
    return label.read, label.write, label.lazy_read, label.may_write


def _checked(tx: TransactionCandidate, writes: Mapping[bytes, bytes], gas: int) -> Done | Fault:
    for key, datum in writes.items():
        if key not in tx.label.write and key not in tx.label.may_write:
            return Fault(f"write of a key that is not in the label: 0x{key.hex()}", gas)
        if len(datum) > DATUM_BYTES_MAX:
            return Fault(f"a value of {len(datum)} bytes; it may have {DATUM_BYTES_MAX}", gas)
    return Done(tuple(writes.items()), gas)
