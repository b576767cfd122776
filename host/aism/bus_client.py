"""The bus from an agent's side: find it, put a request, wait for the answer.

An agent's process has `AISM_BUS`, `AGENT_ID`, and its token in `AISM_TOKEN`, in the file `AISM_TOKEN_FILE`, or at the
descriptor `AISM_TOKEN_FD`. Operators have none of these; for them the file `engine/bus.json` of the folder they are in,
or of one above it, says where the bus is.

A request is put again when the connection was lost: its id makes that harmless. Until it was put once, a bus that is
down is an error after `UNREACHABLE_S`; afterwards the outcome is unknown at the end of the time limit, and the same
request id finds it out. Standard library only: an agent's call has 40 ms.
"""

from __future__ import annotations

import os
import sys
import time
from _socket import AF_UNIX, SO_RCVLOWAT, SO_RCVTIMEO, SO_SNDTIMEO, SOCK_STREAM, SOL_SOCKET, socket
from collections.abc import Mapping

from engines.agents.bridge.resp import ProtocolError, Replies, Reply, StoreError, command
from engines.agents.bus import (
    IDENTIFIER,
    OPERATOR,
    POINTER,
    answer_key,
    mark_of,
    request_key,
    session_of,
    unmarked,
    user_name,
)
from engines.agents.names import TYPE_CHECKING, NamedTuple
from host.aism.output import Failure

if TYPE_CHECKING:
    from typing import Any, Final

UNREACHABLE_S: Final = 1.5
PAUSE_S: Final = 0.02
GRACE_S: Final = 1.0
"""The store ends a wait by itself; this much later a connection counts as dead."""

RECEIPT_BYTES: Final = 26
"""More than the reply to a request that was put, its entry, has; fewer than it and any reply to the wait have. A read
of so many bytes sleeps until the answer is there, and is not woken by the entry in between."""

CHUNK: Final = 65_536
TOKEN_BYTES_MAX: Final = 1_024
POINTER_BYTES_MAX: Final = 16_384
IDENTITY: Final = ("WRONGPASS", "NOAUTH", "NOPERM")
FULL: Final = {
    "OOM": ("the memory of the bus is full", "raise `memory_bytes` of the bridge in aism.yaml"),
    "MISCONF": ("the disk of the engine's folder is full, where the bus keeps its files", "make room on that disk"),
}


class Bus(NamedTuple):
    """Where the bus is, and who we are there. `place` is a path, or host and port."""

    place: str | tuple[str, int]
    is_tls: bool
    namespace: str
    agent: str
    user: str
    token: str


def find_bus(environment: Mapping[str, str], folder: str) -> Bus:
    """The bus of this process, which works in `folder`. Raises Failure."""
    agent = environment.get("AGENT_ID", "")
    if not agent:
        return _bus_of_operator(environment, folder)
    if not IDENTIFIER.fullmatch(agent) or agent == OPERATOR:
        raise Failure("identity", "agent_id", f"AGENT_ID {agent[:80]!r} is no name of an agent")
    token = _token(environment)
    session = session_of(token)
    if session is None:
        raise Failure("identity", "no_token", "this process has no token: AISM_TOKEN, AISM_TOKEN_FILE or AISM_TOKEN_FD")
    address = environment.get("AISM_BUS", "")
    if not address:
        hint = "an agent's process has it from the engine; without AGENT_ID a call is an operator's"
        raise Failure("unavailable", "no_bus", "AGENT_ID is set and AISM_BUS is not", suggestions=[hint])
    return _bus(address, agent, user_name(agent, session), token)


def _bus_of_operator(environment: Mapping[str, str], folder: str) -> Bus:
    import json

    above = environment.get("AISM_ROOT") or folder
    while True:
        try:
            text = _read_regular(os.path.join(above, POINTER), POINTER_BYTES_MAX)
            break
        except PermissionError:
            raise Failure("identity", "not_an_operator", f"{above}/{POINTER} may not be read by this user") from None
        except OSError:
            parent = os.path.dirname(above)
            if parent == above or environment.get("AISM_ROOT"):
                hint = "start it with 'aism up', or go to its folder; an agent's process has AGENT_ID set"
                raise Failure("unavailable", "no_bus", f"no {POINTER} here or above", suggestions=[hint]) from None
            above = parent
    try:
        found = json.loads(text)
        return _bus(str(found["bus"]), OPERATOR, str(found["user"]), str(found["token"]))
    except (ValueError, KeyError, TypeError):
        raise Failure("unavailable", "no_bus", f"{above}/{POINTER} cannot be read") from None


def _bus(address: str, agent: str, user: str, token: str) -> Bus:
    scheme, _, rest = address.partition("://")
    place, mark, namespace = rest.rpartition("?ns=")
    if not mark or scheme not in ("unix", "redis", "rediss"):
        raise Failure("unavailable", "no_bus", f"the bus {address[:120]!r} is not unix://PATH?ns=NAME")
    if scheme == "unix":
        return Bus(place, False, namespace, agent, user, token)
    host, colon, port = place.rpartition(":")
    where = (host, int(port)) if colon and port.isdecimal() else (place, 6379)
    return Bus(where, scheme == "rediss", namespace, agent, user, token)


def _token(environment: Mapping[str, str]) -> str:
    try:
        if number := environment.get("AISM_TOKEN_FD"):
            return os.pread(int(number), TOKEN_BYTES_MAX, 0).decode().strip()
        if path := environment.get("AISM_TOKEN_FILE"):
            return _read_regular(path, TOKEN_BYTES_MAX).decode().strip()
    except (OSError, ValueError) as error:
        raise Failure("identity", "no_token", f"the token cannot be read: {error}") from None
    return environment.get("AISM_TOKEN", "").strip()


def _read_regular(path: str, most: int) -> bytes:
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        return os.read(fd, most)
    finally:
        os.close(fd)


class _Lost(Exception):
    """The connection could not be made, or has ended."""


class BusClient:
    """Puts requests, over one connection that is made when it is needed. For one thread."""

    def __init__(self, bus: Bus) -> None:
        self.bus = bus
        self._socket: Any = None
        self._replies = Replies()
        self._read: list[Reply] = []
        self._waits: tuple[float, int] | None = None

    def close(self) -> None:
        """End the connection."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def ask(self, op: str, body: str, request_id: str, timeout_s: float) -> str:
        """The answer, as text. Raises Failure where there is none."""
        begun = time.monotonic()
        deadline = begun + timeout_s
        was_put = False
        while True:
            try:
                self._connect(UNREACHABLE_S)
                key = request_key(self.bus.namespace, self.bus.agent)
                put = command("XADD", key, "*", "id", request_id, "op", op, "body", body)
                self._send(put + self._wait_command(request_id, deadline))
                was_put = True
                self._take_entry()
                answer = self._await(mark_of(op, body), request_id, deadline)
                if answer is not None:
                    return answer
                raise _no_answer(request_id, timeout_s)
            except (_Lost, ProtocolError) as lost:
                self.close()
                now = time.monotonic()
                if now > deadline and was_put:
                    raise _no_answer(request_id, timeout_s) from None
                if not was_put and now > min(deadline, begun + UNREACHABLE_S):
                    raise _down(lost) from None
                time.sleep(PAUSE_S)

    def command(self, *words: str | bytes | int | float, wait_s: float = 5.0) -> Reply:
        """A command of the store, for operators. Raises Failure."""
        try:
            self._connect(wait_s)
            self._send(command(*words))
            reply = self._reply(time.monotonic() + wait_s + GRACE_S)
            if isinstance(reply, StoreError):
                raise _refused(reply)
        except (_Lost, ProtocolError) as lost:
            self.close()
            raise _down(lost) from None
        return reply

    def _connect(self, wait_s: float) -> None:
        """Connect and log in, unless connected. Raises _Lost, Failure."""
        if self._socket is not None:
            return
        self._replies, self._read, self._waits = Replies(), [], None
        place = self.bus.place
        try:
            self._socket = _unix(place, wait_s) if isinstance(place, str) else _tcp(place, self.bus.is_tls, wait_s)
        except OSError as error:
            raise _Lost(error.strerror or str(error)) from None
        if not self.bus.is_tls:
            self._socket.settimeout(None)
            self._socket.setsockopt(SOL_SOCKET, SO_SNDTIMEO, _timeval(wait_s))
        self._send(command("AUTH", self.bus.user, self.bus.token))
        reply = self._reply(time.monotonic() + wait_s)
        if isinstance(reply, StoreError):
            self.close()
            raise _refused(reply)

    def _take_entry(self) -> None:
        """The reply to the request that was sent: it is in the stream. Raises _Lost, Failure.

        The wait for the answer was sent with it, so the connection ends with a refusal.
        """
        self._receive(UNREACHABLE_S, RECEIPT_BYTES)
        reply = self._reply(time.monotonic() + UNREACHABLE_S)
        if isinstance(reply, StoreError):
            self.close()
            if "equal or smaller" in str(reply):
                raise _Lost("the stream of this agent is being made anew")
            raise _refused(reply)

    def _await(self, mark: str, request_id: str, deadline: float) -> str | None:
        """The answer with this mark, which is waited for; None if the time is over. Raises _Lost, Failure."""
        while True:
            reply = self._reply(deadline + GRACE_S)
            if isinstance(reply, StoreError):
                raise _refused(reply)
            if reply is not None and (answer := unmarked(mark, reply[1].decode())) is not None:
                return answer
            if deadline <= time.monotonic():
                return None
            self._send(self._wait_command(request_id, deadline))

    def _wait_command(self, request_id: str, deadline: float) -> bytes:
        key = answer_key(self.bus.namespace, self.bus.agent, request_id)
        return command("BLPOP", key, f"{max(deadline - time.monotonic(), 0.001):.3f}")

    def _send(self, data: bytes) -> None:
        try:
            self._socket.sendall(data)
        except OSError as error:
            raise _Lost(error.strerror or str(error)) from None

    def _reply(self, until: float) -> Reply:
        while not self._read:
            self._receive(max(PAUSE_S, until - time.monotonic()), 1)
        return self._read.pop(0)

    def _receive(self, wait_s: float, least: int) -> None:
        """Take what comes: `least` bytes, unless the time is over. Raises _Lost if there is nothing then.

        The kernel keeps the time, so a request costs two calls of it; those of TLS go by way of a buffer.
        """
        try:
            if self.bus.is_tls:
                self._socket.settimeout(wait_s)
            elif self._waits != (wait_s, least):
                self._socket.setsockopt(SOL_SOCKET, SO_RCVTIMEO, _timeval(wait_s))
                self._socket.setsockopt(SOL_SOCKET, SO_RCVLOWAT, least)
                self._waits = wait_s, least
            data = self._socket.recv(CHUNK)
        except OSError as error:
            raise _Lost(error.strerror or "no reply in time") from None
        if not data:
            raise _Lost("the connection has ended")
        self._read += self._replies.feed(data)


def _timeval(seconds: float) -> bytes:
    whole = int(seconds)
    return b"".join(number.to_bytes(8, sys.byteorder) for number in (whole, int((seconds - whole) * 1e6)))


def _unix(path: str, wait_s: float) -> Any:
    made = socket(AF_UNIX, SOCK_STREAM)
    made.settimeout(wait_s)
    try:
        made.connect(path)
    except OSError:
        made.close()
        raise
    return made


def _tcp(place: tuple[str, int], is_tls: bool, wait_s: float) -> Any:
    import socket as sockets

    made = sockets.create_connection(place, wait_s)
    if not is_tls:
        return made
    import ssl

    return ssl.create_default_context().wrap_socket(made, server_hostname=place[0])


def _no_answer(request_id: str, timeout_s: float) -> Failure:
    return Failure(
        "timeout",
        "no_answer",
        f"no answer in {timeout_s:g} s to request {request_id}; it may have been done, or be done later",
        details={"request_id": request_id},
        suggestions=[f"repeat the same call with --request-id {request_id}: it is not done twice"],
    )


def _down(lost: Exception) -> Failure:
    hints = ["`aism status` says whether the engine is up; `aism up -d` starts it"]
    return Failure("unavailable", "bus_down", f"the bus does not answer: {lost}", suggestions=hints)


def _refused(error: StoreError) -> Failure:
    if error.code in IDENTITY:
        return Failure("identity", "not_admitted", "the bus does not know this agent's session, or it is over")
    if error.code in FULL:
        what, hint = FULL[error.code]
        hints = [f"{hint}, then repeat the call: nothing was done"]
        return Failure("unavailable", "storage_full", what, suggestions=hints, retry_after_ms=1_000)
    if error.code == "LOADING":
        raise _Lost("the store is starting")
    return Failure("internal", "store", f"the store has refused the request: {error}")
