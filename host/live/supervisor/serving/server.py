"""The control socket: requests of the command line in, responses out, drained inside the event loop.

A plain ROUTER on ipc. Its descriptor is edge-triggered and means only "look again": after every event, and after every
send, the socket is drained until it is empty. Each request runs as a task of its own: a slow one delays no other. A
client has at most `REQUESTS_MAX` requests, more are refused. A client that stops reading loses responses at the high
water mark; it waits with a deadline and asks again.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

import msgspec
import zmq

from host.live.control.context import make_context, make_socket
from host.live.control.protocol import PROTOCOL, Request, Response

REQUESTS_MAX: Final = 64
"""Requests of one client under way at once."""

REQUEST_BYTES_MAX: Final = 160 << 20
"""Room for a message of more than 64 MiB in hexadecimal digits: it must be refused with a reason, not in silence."""

Send = Callable[[Response], bool]
"""Sends to the client of a request; False when it has gone."""
Handler = Callable[[Request, Send], Awaitable[Response | None]]
"""Runs one request. May send responses with `last=False`; returns the last one, or None if it was sent already."""


class ControlServer:
    """A bound socket that serves `handler` until `close`."""

    def __init__(self, path: str, handler: Handler) -> None:
        self._handler = handler
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self._busy: Counter[bytes] = Counter()
        self._context = make_context()
        self._socket = make_socket(self._context, zmq.ROUTER)
        self._socket.setsockopt(zmq.LINGER, 200)
        self._socket.setsockopt(zmq.ROUTER_MANDATORY, 1)
        self._socket.setsockopt(zmq.MAXMSGSIZE, REQUEST_BYTES_MAX)
        self._path = ""
        self.bind(path)
        self._fd = int(self._socket.getsockopt(zmq.FD))
        self._loop.add_reader(self._fd, self._drain)
        self._loop.call_soon(self._drain)

    def bind(self, path: str) -> None:
        """Listen at `path` instead of the former path; connections stay. Raises OSError."""
        if self._path:
            with contextlib.suppress(zmq.ZMQError):
                self._socket.unbind(f"ipc://{self._path}")
        self._path = path
        try:
            self._socket.bind(f"ipc://{path}")
        except zmq.ZMQError as error:
            raise OSError(error.errno, error.strerror, path) from error

    def close(self) -> None:
        """Stop serving; responses already queued still go out, for at most the linger time."""
        self._loop.remove_reader(self._fd)
        for task in self._tasks:
            task.cancel()
        self._socket.close()
        self._context.term()

    def _drain(self) -> None:
        while not self._socket.closed and int(self._socket.getsockopt(zmq.EVENTS)) & zmq.POLLIN:
            frames = self._socket.recv_multipart(zmq.NOBLOCK)
            if len(frames) == 3:
                self._take(frames[0], frames[2])

    def _take(self, client: bytes, body: bytes) -> None:
        send = partial(self._send, client)
        try:
            request = msgspec.msgpack.decode(body, type=Request)
        except msgspec.MsgspecError as error:
            send(Response("error", error="usage", message=f"request not understood: {error}"))
            return
        if request.v != PROTOCOL:
            message = f"the command speaks protocol {request.v}, this node {PROTOCOL}: restart the node"
            send(Response("error", error="refused", message=message))
        elif self._busy[client] >= REQUESTS_MAX:
            send(Response("error", error="refused", message=f"{REQUESTS_MAX} requests are at work already"))
        else:
            task = self._loop.create_task(self._serve(client, request, send))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _serve(self, client: bytes, request: Request, send: Send) -> None:
        self._busy[client] += 1
        try:
            response = await self._handler(request, send)
            if response is not None:
                send(response)
        finally:
            self._busy[client] -= 1
            if not self._busy[client]:
                del self._busy[client]

    def _send(self, client: bytes, response: Response) -> bool:
        """False if the client is gone. A client that does not read loses what does not fit."""
        if self._socket.closed:
            return False
        try:
            self._socket.send_multipart([client, b"", msgspec.msgpack.encode(response)], zmq.NOBLOCK)
        except zmq.Again:
            pass
        except zmq.ZMQError as error:
            if error.errno != zmq.EHOSTUNREACH:
                raise
            return False
        self._loop.call_soon(self._drain)
        return True
