"""The control protocol between the command line and the supervisor: MessagePack over a ZeroMQ ipc socket.

A request is a `Request`; the answer is one `Response`, or for `follow` operations a sequence of them that ends with
`last=True`. The command line's `--json` prints a `Response` body as the versioned envelope
`{"v":1,"kind":…,"items":[…]}`. Exit codes are decided here, once, by the name of the error.

Start. The command line runs `host.live.supervisor` with SPEC_FD READY_FD [--attached] (`begin`). SPEC_FD is a pipe that
carries the node as MessagePack (`NodeSpec`) and then ends; if it ends without a node, the supervisor exits. READY_FD is
a SEQPACKET socket; each packet is one `Response`: `ready` (items [{engine, pid}]) for each engine once ready, `failed`
(items [{engine, reason, detail}], `last=False`) for each that fails, and a final one with `last=True`: `node` (the item
of `status`) when all are ready, else an error by name (`not_ready`, `conflict`, …). Detached, the supervisor is a
session of its own and makes `supervisor.log` its standard streams. Attached, it shares the terminal's foreground group
with the command, keeps READY_FD open, and takes its end of file for the end of the command: it drains and exits.
"""

from __future__ import annotations

from typing import Any, Final, Literal

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


class TypedField(msgspec.Struct, frozen=True, array_like=True):
    """A field of `send` as the user wrote it: `args["fields"]` is {name: [how, value]}; the supervisor converts.

    `text`: the argument itself, read by the field's type (str, int, float, bool, a reference, null for optional).
    `hex`: text that begins with 0x: bytes, or an integer, or the text for a text field. `bytes`: the bytes (a str field
    takes UTF-8). `json`: parsed JSON; bytes inside are "0x…" strings, as `view` shows them.
    """

    how: Literal["text", "hex", "bytes", "json"]
    value: Any


class Request(msgspec.Struct, frozen=True):
    """An operation with its arguments. `v` is the protocol's version; any other is refused."""

    op: str
    args: dict[str, Any] = {}
    v: int = PROTOCOL


class Response(msgspec.Struct, frozen=True):
    """Items of `kind`, or an error by name (a key of `EXIT_CODES`) with a sentence of advice."""

    kind: str
    items: list[Any] = []
    error: str = ""
    message: str = ""
    last: bool = True
    v: int = PROTOCOL


class ControlError(Exception):
    """An operation that failed: `error` is a key of `EXIT_CODES`, `items` what the supervisor added."""

    def __init__(self, error: str, message: str, items: list[Any] | None = None) -> None:
        super().__init__(message)
        self.error = error
        self.message = message
        self.items = items or []
