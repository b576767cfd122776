"""Runs work with families in a child process: its result comes back as plain data, its exception as text.

It runs under the hash seed of this process, which need not be the node's: a rule that depends on it may diverge here,
and is shown as that.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final

import msgspec

from engines.model import Outgoing, Output, view
from host.live.control.protocol import ControlError, Response
from host.live.inspection.child import forked, isolate, pieces, silence
from host.node.journal.checking import Diverged
from host.node.journal.layout import Newer
from host.node.journal.scan import ADVICE, Damaged

DEADLINE_NS: Final = 600_000_000_000

_NAMES: Final = {"NotRetained": "not_found", "CheckError": "usage"}
"""Errors that have an exit code of their own, by type."""

Work = Callable[[], list[dict[str, Any]]]


def run_in_child(work: Work, *, deadline_ns: int = DEADLINE_NS) -> list[Any]:
    """The items that `work` returns. Blocks. Raises `ControlError` for everything that goes wrong in it."""

    def report(fd: int) -> None:
        isolate(deadline_ns)
        silence()
        with open(fd, "wb") as stream:
            stream.write(msgspec.msgpack.encode(_answer(work)))

    with forked(report) as reading:
        try:
            data = b"".join(pieces(reading, time.monotonic_ns() + deadline_ns))
        except TimeoutError:
            data = b""
    if not data:
        raise ControlError("failed", "the process that ran the families died, or took too long")
    answer = msgspec.msgpack.decode(data, type=Response)
    if answer.error:
        raise ControlError(answer.error, answer.message, answer.items)
    return answer.items


def _answer(work: Work) -> Response:
    try:
        return Response("items", work())
    except Diverged as error:
        outputs = [_shown(one) for one in error.outputs]
        item = {"engine": error.engine, "turn": error.turn, "recorded": error.recorded, "found": error.found}
        text = "; ".join((f"diverged: {error}", *getattr(error, "__notes__", ())))
        return Response("items", [{**item, "outputs": outputs}], "violated", text)
    except Damaged as error:
        return Response("items", [{"segment": error.segment, "offset": error.offset}], "refused", f"{error} ({ADVICE})")
    except Newer as error:
        return Response("items", [], "refused", str(error))
    except BaseException as error:
        name = _NAMES.get(type(error).__name__, "failed")
        text = "; ".join((str(error) or type(error).__name__, *getattr(error, "__notes__", ())))
        return Response("items", [], name, " ".join(text.split()))


def _shown(output: Output) -> dict[str, Any]:
    if isinstance(output, Outgoing):
        return {"target": output.target, "mailbox": output.mailbox, "message": view(output.message)}
    return {"output": str(output)}
