"""The second process of the determinism check: it takes cases, runs them under another hash seed, and returns records.

Cases, records and their comparison are in `engines.model.check.determinism`, which is pure. This file has the process:
a fresh interpreter, because a hash seed is chosen at its start and forks keep it. One packet each way goes over its
standard streams, as MessagePack; nothing that could run code is decoded. The output of a family goes to standard error,
apart from the packet. The child has a session of its own; at the deadline it is killed with every process it started.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from typing import Final

import msgspec

from host.program import command

DEADLINE_NS: Final = 60_000_000_000
"""For the interpreter, the imports of all families, and every case twice."""

WORDS_SHOWN: Final = 2_000
"""Characters shown of a dead child's last output."""


class Order(msgspec.Struct, frozen=True, array_like=True):
    """To the child: cases as `record_case` makes them, and code roots besides `engines`."""

    cases: tuple[bytes, ...]
    roots: tuple[str, ...]


class DeterminismResult(msgspec.Struct, frozen=True, array_like=True):
    """From the child: a record for each case, in order, or why there are none."""

    records: tuple[bytes, ...]
    error: str = ""


class ElsewhereError(RuntimeError):
    """The cases were not run: a family does not load there, a case is invalid, the child died or was too slow."""


def run_elsewhere(
    cases: Sequence[bytes], roots: Sequence[str] = (), *, seed: int, deadline_ns: int = DEADLINE_NS
) -> list[bytes]:
    """The records of `cases`, run in a process whose hash seed is `seed`; compare them with those made here.

    `seed` lies in 0 to 2**32 - 1, 0 meaning no randomness, and should not be this process's own. Blocks for at most
    `deadline_ns`. Raises `ElsewhereError`.
    """
    child = subprocess.Popen(
        command("host.live.inspection.determinism"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONHASHSEED": str(seed)},
        start_new_session=True,
    )
    order = msgspec.msgpack.encode(Order(tuple(cases), tuple(roots)))
    with child:
        try:
            answer, words = child.communicate(order, deadline_ns / 1e9)
        except subprocess.TimeoutExpired:
            raise ElsewhereError(f"{len(cases)} cases were not run within {deadline_ns / 1e9:g} s") from None
        finally:
            _end_session(child)
    return _records(answer, words, child.returncode)


def _records(answer: bytes, words: bytes, code: int) -> list[bytes]:
    try:
        result = msgspec.msgpack.decode(answer, type=DeterminismResult)
    except msgspec.DecodeError as error:
        said = words.decode(errors="replace")[-WORDS_SHOWN:]
        raise ElsewhereError(f"the process ended with code {code} and no records: {said}") from error
    if result.error:
        raise ElsewhereError(result.error)
    return list(result.records)


def _end_session(child: subprocess.Popen[bytes]) -> None:
    """Kill a child that has not ended, and the processes it started, which would otherwise hold its streams open.

    A child that was reaped has given up its pid, so it gets no signal.
    """
    if child.returncode is None:
        os.killpg(child.pid, signal.SIGKILL)


def main() -> None:
    """The life of the child."""
    answer = os.dup(1)
    os.dup2(2, 1)
    order = msgspec.msgpack.decode(sys.stdin.buffer.read(), type=Order)
    result = _run(order)
    with open(answer, "wb") as stream:
        stream.write(msgspec.msgpack.encode(result))


def _run(order: Order) -> DeterminismResult:
    from engines.model.check.determinism import run_cases

    try:
        return DeterminismResult(tuple(run_cases(order.cases, order.roots)))
    except Exception as error:
        return DeterminismResult((), f"{type(error).__name__}: {error}")
