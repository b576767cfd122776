"""Starts a supervisor, and receives its progress reports.

The process may begin before the node file is read, and warms up meanwhile. The node is sent as data through a pipe, so
the supervisor parses no YAML; its reports come back over a SEQPACKET socket. `host.live.control.protocol` has the
contract.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Self

import msgspec

from host.config.spec import NodeSpec
from host.live.control.begin import SUPERVISOR, Begun, begin
from host.live.control.protocol import ControlError, Response

PROGRESS_BYTES_MAX: Final = 256 * 1024
"""One packet of progress; SEQPACKET sockets refuse larger ones by default."""

STOP_S: Final = 5.0
"""By then a supervisor that was asked to exit has ended its workers, or killed them."""


class Launch:
    """A supervisor started by us. `log` is its standard output and error once it is detached and has a node.

    Args:
        spec: the node; without one, `give` follows, or the supervisor exits as soon as this is closed. begun: a
        supervisor begun earlier, with the same `attached`.
    """

    def __init__(
        self,
        spec: NodeSpec | None = None,
        *,
        attached: bool,
        program: tuple[str, ...] = SUPERVISOR,
        begun: Begun | None = None,
    ) -> None:
        self.log: Path | None = None
        self._log_from = 0
        self._attached = attached
        if begun is None:
            begun = begin(attached=attached, program=program)
        self.process, self._node, self._progress = begun.process, begun.node, begun.progress
        if spec is not None:
            self.give(spec)

    def give(self, spec: NodeSpec) -> None:
        """Send the node. Once only; if the supervisor is gone already, `progress` notices."""
        self.log = None if self._attached else Path(spec.data) / "supervisor.log"
        self._log_from = _size(self.log)
        with contextlib.suppress(BrokenPipeError), open(self._node, "wb") as file:
            self._node = -1
            file.write(msgspec.msgpack.encode(spec))

    def progress(self, timeout_ns: int) -> Iterator[Response]:
        """The supervisor's reports, up to the packet marked `last`, which may be an error.

        Raises `ControlError`: `timeout` after `timeout_ns` in all, `not_ready` if the supervisor ends without a report.
        """
        deadline = time.monotonic_ns() + timeout_ns
        while True:
            body = self._receive(deadline)
            if body is None:
                raise ControlError("timeout", f"the node was not ready within {timeout_ns / 1e9:g} s")
            if not body:
                raise ControlError("not_ready", self._last_words())
            response = msgspec.msgpack.decode(body, type=Response)
            yield response
            if response.last:
                return

    def stop(self, *numbers: signal.Signals) -> int:
        """Send these signals, each only if the one before had no effect in time; the supervisor's exit code.

        Its workers end with it by themselves. Without signals, only wait for a supervisor that is exiting already.
        """
        for number in numbers:
            self.process.send_signal(number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                return self.process.wait(STOP_S)
        return self.process.wait()

    def close(self) -> None:
        """Hang up. A supervisor without a node exits; an attached one drains and exits."""
        self._progress.close()
        if self._node >= 0:
            os.close(self._node)
            self._node = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def _receive(self, deadline: int) -> bytes | None:
        left_s = max(0.0, (deadline - time.monotonic_ns()) / 1e9)
        if not select.select([self._progress], [], [], left_s)[0]:
            return None
        try:
            return self._progress.recv(PROGRESS_BYTES_MAX)
        except ConnectionResetError:
            return b""

    def _last_words(self) -> str:
        code = self.process.wait()
        how = f"was killed by signal {-code}" if code < 0 else f"ended with code {code}"
        return f"the supervisor {how} before the node was ready" + _last_line(self.log, self._log_from)


def _size(log: Path | None) -> int:
    return log.stat().st_size if log is not None and log.exists() else 0


def _last_line(log: Path | None, start: int) -> str:
    """The last line written to `log` from `start` on; lines of earlier runs explain nothing."""
    if log is None or _size(log) < start:
        return ""
    with contextlib.suppress(FileNotFoundError), log.open("rb") as file:
        file.seek(start)
        lines = file.read().decode(errors="replace").strip().splitlines() or ["it printed nothing"]
        return f": {lines[-1]} (in {log})"
    return ""
