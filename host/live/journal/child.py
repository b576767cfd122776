"""Runs work with families in a child process: its result comes back as plain data, its exception as text.

The child is forked, has a session of its own and no output, and is killed at the deadline. It runs under the hash seed
of this process, which need not be the node's: a rule that depends on the seed may diverge here, and is reported as
diverged.
"""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Callable
from typing import Any, Final, Never

import msgspec

from engines.model import Outgoing, Output, view
from host.live.control.protocol import ControlError
from host.node.journal.layout import Newer
from host.node.journal.scan import Damaged
from host.node.journal.stream import Diverged

DEADLINE_NS: Final = 600_000_000_000
_PIECE: Final = 1 << 20


class ChildReport(msgspec.Struct, frozen=True):
    """Items, or an error by name with its message."""

    items: list[Any] = []
    error: str = ""
    message: str = ""


def run_in_child(work: Callable[[], list[dict[str, Any]]], *, deadline_ns: int = DEADLINE_NS) -> list[Any]:
    """The items that `work` returns. Blocks. Raises `ControlError` for any error in it."""
    reading, writing = os.pipe2(os.O_CLOEXEC)
    pid = os.fork()
    if pid == 0:
        _live_as_child(work, writing)
    os.close(writing)
    try:
        data = _collect(reading, time.monotonic_ns() + deadline_ns)
    finally:
        os.close(reading)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    if not data:
        raise ControlError("failed", "the process that ran the families died, or took too long")
    answer = msgspec.msgpack.decode(data, type=ChildReport)
    if answer.error:
        raise ControlError(answer.error, answer.message, answer.items)
    return answer.items


def _collect(reading: int, end_ns: int) -> bytes:
    """Everything until the end of file; empty if that does not come in time."""
    ready = select.poll()
    ready.register(reading, select.POLLIN)
    pieces: list[bytes] = []
    while True:
        left_ms = (end_ns - time.monotonic_ns()) // 1_000_000
        if left_ms <= 0 or not ready.poll(left_ms):
            return b""
        piece = os.read(reading, _PIECE)
        if not piece:
            return b"".join(pieces)
        pieces.append(piece)


def _live_as_child(work: Callable[[], list[dict[str, Any]]], writing: int) -> Never:
    try:
        os.setsid()
        silence = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(silence, stream)
        data = memoryview(msgspec.msgpack.encode(_answer(work)))
        while data:
            data = data[os.write(writing, data[:_PIECE]) :]
    finally:
        os._exit(0)


def _answer(work: Callable[[], list[dict[str, Any]]]) -> ChildReport:
    try:
        return ChildReport(work())
    except Diverged as error:
        outputs = [_shown(one) for one in error.outputs]
        item = {"engine": error.engine, "turn": error.turn, "recorded": error.recorded, "found": error.found}
        return ChildReport([{**item, "outputs": outputs}], "violated", f"diverged: {error}")
    except Damaged as error:
        return ChildReport([{"segment": error.segment, "offset": error.offset}], "refused", str(error))
    except Newer as error:
        return ChildReport([], "refused", str(error))
    except BaseException as error:
        name = "not_found" if type(error).__name__ == "NotRetained" else "failed"
        text = str(error) or type(error).__name__
        return ChildReport([], name, " ".join(text.split()))


def _shown(output: Output) -> dict[str, Any]:
    if isinstance(output, Outgoing):
        return {"target": output.target, "mailbox": output.mailbox, "message": view(output.message)}
    return {"output": str(output)}
