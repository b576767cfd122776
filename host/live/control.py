"""The control protocol between the command line and the supervisor: MessagePack over a ZeroMQ ipc socket.

A request is `Request`; the answer is one `Response`, or for `follow` operations a sequence of them that ends with
`last=True`. The command line's `--json` prints a `Response` body as the versioned envelope `{"v":1,"kind":…,"items":[…]}`.
Exit codes are decided here, once, by the name of the error.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

PROTOCOL: Final = 1

EXIT_CODES: Final = {
    "ok": 0,
    "failed": 1,
    "usage": 2,
    "configuration": 3,
    "not_found": 4,
    "not_running": 5,
    "timeout": 6,
    "not_ready": 7,
    "violated": 8,
    "conflict": 9,
    "refused": 10,
}
"""Exit code by situation; DESIGN of the command line, printed by `--help`, tested."""


class Request(msgspec.Struct, frozen=True):
    """An operation with its arguments. `v` is the protocol; another one is refused, not guessed at."""

    op: str
    args: dict[str, Any] = {}
    v: int = PROTOCOL


class Response(msgspec.Struct, frozen=True):
    """Items of `kind`, or an error by name (a key of `EXIT_CODES`) with a sentence that says what to do."""

    kind: str
    items: list[Any] = []
    error: str = ""
    message: str = ""
    last: bool = True
    v: int = PROTOCOL
