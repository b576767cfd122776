"""The command line's end of the control socket: requests with a deadline, and streams to follow.

A DEALER alone would wait indefinitely for a supervisor that has died, since ZeroMQ reconnects silently. So each wait
also watches the pidfd of the process that listens on the socket: its death ends the wait with `not_running`, not with a
time-out. Used from one thread, with one request under way at a time.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from types import TracebackType
from typing import Any, Final, Self

import msgspec
import zmq

from host.live.clock import left_ms
from host.live.control.context import make_context, make_socket
from host.live.control.instances import listening_pid
from host.live.control.protocol import PROTOCOL, ControlError, Request, Response
from host.live.process_stat import state_of

REQUEST_NS: Final = 5_000_000_000
"""Deadline of an ordinary request; a supervisor answers within a millisecond, a stopped one never."""

RESPONSE_BYTES_MAX: Final = 256 << 20
"""Bounds what a broken peer makes us allocate; above any state that a worker shows."""

LAST_WORDS_MS: Final = 50
"""A response sent just before the node's end may still be on its way through ZeroMQ's own thread."""

_DECODER: Final = msgspec.msgpack.Decoder(Response)


class Client:
    """A connection to one running node. Raises `ControlError` (`not_running`) if no process listens at `path`."""

    def __init__(self, path: str) -> None:
        pid = listening_pid(path)
        if pid is None:
            raise ControlError("not_running", f"nothing listens on {path}")
        self.path = path
        self.pid = pid
        self._pidfd = _open_pidfd(pid)
        self._context = make_context()
        self._socket = make_socket(self._context, zmq.DEALER)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.setsockopt(zmq.MAXMSGSIZE, RESPONSE_BYTES_MAX)
        self._socket.connect(f"ipc://{path}")
        self._poller = zmq.Poller()
        self._poller.register(self._socket, zmq.POLLIN)
        if self._pidfd is not None:
            self._poller.register(self._pidfd, zmq.POLLIN)

    def request(self, op: str, args: dict[str, Any] | None = None, *, timeout_ns: int = REQUEST_NS) -> Response:
        """The answer to one operation.

        Raises `ControlError`: the supervisor's error, `timeout`, or `not_running` if it ended meanwhile.
        """
        self._send(op, args)
        return self._receive(timeout_ns)

    def follow(self, op: str, args: dict[str, Any], *, timeout_ns: int | None = None) -> Iterator[Response]:
        """Answers as they arrive, until the one marked `last` or the end of the node. `timeout_ns` bounds each gap.

        Raises `ControlError` as `request` does, except that the node's end just ends the stream.
        """
        self._send(op, args)
        while True:
            try:
                response = self._receive(timeout_ns)
            except ControlError as e:
                if e.error == "not_running":
                    return
                raise
            yield response
            if response.last:
                return

    def wait_ended(self, timeout_ns: int) -> bool:
        """Wait for the end of the supervisor's process, at most `timeout_ns`; whether it ended.

        A process in another process namespace cannot be watched; then only the socket is probed for a listener.
        """
        if self._pidfd is None:
            return listening_pid(self.path) is None
        poller = zmq.Poller()
        poller.register(self._pidfd, zmq.POLLIN)
        deadline = time.monotonic_ns() + timeout_ns
        while not (has_ended := bool(poller.poll(left_ms(deadline)))) and time.monotonic_ns() < deadline:
            pass
        return has_ended

    def close(self) -> None:
        """Close the descriptors. Requests not sent yet are dropped."""
        self._socket.close()
        self._context.term()
        if self._pidfd is not None:
            os.close(self._pidfd)
            self._pidfd = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def _send(self, op: str, args: dict[str, Any] | None) -> None:
        self._socket.send_multipart([b"", msgspec.msgpack.encode(Request(op, args or {}))])

    def _receive(self, timeout_ns: int | None) -> Response:
        deadline = None if timeout_ns is None else time.monotonic_ns() + timeout_ns
        while True:
            ready = dict(self._poller.poll(None if deadline is None else left_ms(deadline)))
            if self._socket in ready or (ready and self._socket.poll(LAST_WORDS_MS)):
                return _checked(self._socket.recv_multipart()[-1])
            if ready:
                raise ControlError("not_running", "the node ended before it answered")
            if deadline is not None and time.monotonic_ns() >= deadline:
                raise ControlError("timeout", f"no answer within {(timeout_ns or 0) / 1e9:g} s{_why_silent(self.pid)}")


def _why_silent(pid: int) -> str:
    """Why a supervisor does not answer, as far as the system shows: it is stopped, or ""."""
    match state_of(pid):
        case "T":
            return f": the supervisor (pid {pid}) is stopped; kill -CONT lets it go on"
        case "t":
            return f": the supervisor (pid {pid}) is held by a debugger"
    return ""


def _open_pidfd(pid: int) -> int | None:
    with contextlib.suppress(OSError):
        return os.pidfd_open(pid) if pid > 0 else None
    return None


def _checked(body: bytes) -> Response:
    try:
        response = _DECODER.decode(body)
    except msgspec.MsgspecError as e:
        raise ControlError("failed", f"the node's answer is not understood: {e}") from e
    if response.v != PROTOCOL:
        found = f"the node speaks protocol {response.v}, this command {PROTOCOL}"
        raise ControlError("refused", f"{found}: restart the node with this version")
    if response.error:
        raise ControlError(response.error, response.message, response.items)
    return response
