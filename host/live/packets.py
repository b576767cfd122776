"""Packets with descriptors over a slot's SEQPACKET socket pair: one `Channel` at each end.

Only `make_room` blocks. `send` hands the packet to the kernel, or queues it if the socket's buffer is full; `flush`,
called when the socket is writable again, sends the rest in order. While a packet waits, the channel holds duplicates of
its descriptors, so the caller may close its own right after `send`. The queue is bounded: at `QUEUE_PACKETS_MAX` `send`
raises `Full`, because a peer that has read nothing for so long never will. The end of file raises `Closed`; packets
that the peer sent before it died are still received first, in order.

A packet above `PACKET_BYTES_MAX` travels in an unnamed, sealed memory file: the socket carries `OUTSIZED`, and the
file's descriptor after the packet's own. A payload that is usually large has a file to itself: `memory_file`,
`read_memory_file`; one that is made and read piece by piece is a file of parts, each after its length:
`memory_file_of_parts`, `read_parts`.
"""

from __future__ import annotations

import array
import errno
import fcntl
import os
import select
import socket
import struct
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, BinaryIO, Final, Generic, TypeVar

import msgspec

from host.live import wire
from host.node.news import Packet
from transport.port import Broken, Closed

QUEUE_PACKETS_MAX: Final = 1 << 18
"""Packets that may wait for a peer that does not read: one for each engine of a neighbouring process that dies."""

DESCRIPTORS_MAX: Final = 253
"""The kernel's own bound for one SCM_RIGHTS message (SCM_MAX_FD)."""

OUTSIZED: Final = b"\xc1"
"""Stands for a packet that lies in a memory file. No MessagePack begins with it."""

OUTSIZED_BYTES_MAX: Final = 64 << 20
"""The size of the largest message; an engine with larger parameters and state cannot be sent."""

MEMORY_FILE_SEALS: Final = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SEAL

_NOT_NOW: Final = frozenset({errno.ENOBUFS, errno.ENOMEM, errno.ETOOMANYREFS})
"""Short of memory, or too many descriptors of a user are in flight (`RLIMIT_NOFILE`): a peer has to read first."""

_LENGTH: Final = struct.Struct("=Q")
_ANCILLARY_BYTES: Final = socket.CMSG_SPACE(DESCRIPTORS_MAX * 4)
_encode = msgspec.msgpack.Encoder().encode
_TO_WORKER: Final = msgspec.msgpack.Decoder(wire.ToWorker)
_TO_SUPERVISOR: Final = msgspec.msgpack.Decoder(wire.ToSupervisor)
_PASSED: Final = msgspec.msgpack.Decoder(wire.Passed)
"""Made at import, before a fork: making a decoder evaluates every annotation of the wire, 1 MiB and a millisecond."""

Received = TypeVar("Received")
T = TypeVar("T")


class Full(Exception):
    """`QUEUE_PACKETS_MAX` packets wait for the peer already; the packet was not queued."""


class Channel(Generic[Received]):
    """One end. Owns the socket; every descriptor received belongs to the caller."""

    def __init__(self, sock: socket.socket, decoder: msgspec.msgpack.Decoder[Received]) -> None:
        sock.setblocking(False)
        self._sock = sock
        self._decode = decoder.decode
        self._queue: deque[tuple[bytes, list[int]]] = deque()
        self.is_short = False
        """Whether packets wait although the socket is writable: the kernel is short of another resource."""

    def fileno(self) -> int:
        """The socket's descriptor; -1 once closed."""
        return self._sock.fileno()

    @property
    def waiting(self) -> int:
        """Packets queued. Above 0, call `flush` when the socket is writable, or after a moment if `is_short`."""
        return len(self._queue)

    def send(self, packet: Packet, descriptors: Sequence[int] = ()) -> None:
        """Send now, or queue behind what waits. Never blocks.

        Raises `ValueError` for over `OUTSIZED_BYTES_MAX` bytes or `DESCRIPTORS_MAX` descriptors, `Full`, `Closed`, and
        OSError if a packet has to wait and its descriptors cannot be duplicated.
        """
        data = _encode(packet)
        is_outsized = len(data) > wire.PACKET_BYTES_MAX
        if len(data) > OUTSIZED_BYTES_MAX or len(descriptors) + is_outsized > DESCRIPTORS_MAX:
            raise ValueError(f"{type(packet).__name__}: {len(data)} bytes, {len(descriptors)} descriptors are too many")
        if is_outsized:
            self._send_outsized(data, descriptors)
        else:
            self._send_or_queue(data, descriptors)

    def flush(self) -> bool:
        """Send waiting packets, as far as the kernel takes them; True once none waits. Raises `Closed`."""
        while self._queue:
            data, duplicates = self._queue[0]
            if not self._try_send(data, duplicates):
                return False
            self._queue.popleft()
            close_all(duplicates)
        return True

    def make_room(self, packets_max: int) -> None:
        """Block until at most `packets_max` packets wait: for a worker, since its supervisor always reads.

        Raises `Closed`.
        """
        writable = select.poll()
        writable.register(self._sock, select.POLLOUT)
        while len(self._queue) > packets_max and not self.flush():
            writable.poll()

    def receive(self) -> tuple[Received, list[int]] | None:
        """The next packet with its descriptors (close-on-exec), or None if there is none now.

        Raises `Closed` at the end of file, `Broken` for a packet that is cut or of no known kind, whose descriptors are
        closed.
        """
        try:
            data, ancillary, flags, _ = self._sock.recvmsg(
                wire.PACKET_BYTES_MAX, _ANCILLARY_BYTES, socket.MSG_CMSG_CLOEXEC
            )
        except BlockingIOError:
            return None
        except ConnectionResetError:
            return self.receive()  # raised once, if the peer ended with packets unread; its own packets follow
        except (ConnectionError, OSError) as error:
            raise Closed(f"socket pair: {error}") from error
        descriptors = _descriptors(ancillary)
        if not data:
            close_all(descriptors)
            raise Closed("socket pair: end of file")
        return self._checked(data, flags, descriptors), descriptors

    def close(self) -> None:
        """Close the socket and drop waiting packets. Idempotent."""
        for _, duplicates in self._queue:
            close_all(duplicates)
        self._queue.clear()
        self._sock.close()

    def _send_outsized(self, data: bytes, descriptors: Sequence[int]) -> None:
        file = memory_file(data)
        try:
            self._send_or_queue(OUTSIZED, (*descriptors, file))
        finally:
            os.close(file)

    def _send_or_queue(self, data: bytes, descriptors: Sequence[int]) -> None:
        if self.flush() and self._try_send(data, descriptors):
            return
        if len(self._queue) >= QUEUE_PACKETS_MAX:
            raise Full(f"socket pair: {QUEUE_PACKETS_MAX} packets wait")
        self._queue.append((data, duplicates(descriptors)))

    def _checked(self, data: bytes, flags: int, descriptors: list[int]) -> Received:
        """The packet; the file of an outsized one is read, closed, and removed from `descriptors`."""
        try:
            if flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC):
                raise Broken(f"socket pair: packet cut to {len(data)} bytes, {len(descriptors)} descriptors")
            return self._decode(_outsized(descriptors) if data == OUTSIZED else data)
        except msgspec.DecodeError as error:
            close_all(descriptors)
            raise Broken(f"socket pair: {error}") from error
        except Broken:
            close_all(descriptors)
            raise

    def _try_send(self, data: bytes, descriptors: Sequence[int]) -> bool:
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))] if descriptors else []
        try:
            self._sock.sendmsg([data], rights, socket.MSG_NOSIGNAL)
        except BlockingIOError:
            self.is_short = False
            return False
        except OSError as error:
            self.is_short = error.errno in _NOT_NOW
            if self.is_short:
                return False
            raise Closed(f"socket pair: {error}") from error
        self.is_short = False
        return True


def duplicates(descriptors: Sequence[int]) -> list[int]:
    """All of them or, with an OSError, none."""
    made: list[int] = []
    try:
        for descriptor in descriptors:
            made.append(os.dup(descriptor))
    except OSError:
        close_all(made)
        raise
    return made


def parcels(items: Iterable[tuple[T, int]], bytes_max: int) -> Iterator[tuple[T, ...]]:
    """Items in order, each given with its length, split into packets; a longer one is alone."""
    parcel: list[T] = []
    size = 0
    for item, length in items:
        if parcel and size + length > bytes_max:
            yield tuple(parcel)
            parcel, size = [], 0
        parcel.append(item)
        size += length
    if parcel:
        yield tuple(parcel)


def encoded_bytes(value: Any) -> int:
    """The encoded length of a packet's field."""
    return len(_encode(value))


def worker_end(sock: socket.socket) -> Channel[wire.ToWorker]:
    """A worker's end, which receives the supervisor's packets."""
    return Channel(sock, _TO_WORKER)


def supervisor_end(sock: socket.socket) -> Channel[wire.ToSupervisor]:
    """The supervisor's end, which receives a worker's packets."""
    return Channel(sock, _TO_SUPERVISOR)


def baton_end(sock: socket.socket) -> Channel[wire.Passed]:
    """The end of a baton; only the old process sends."""
    return Channel(sock, _PASSED)


def channel_pair() -> tuple[socket.socket, socket.socket]:
    """A connected SEQPACKET pair, close-on-exec."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


def memory_file(content: bytes) -> int:
    """A descriptor of an unnamed memory file that holds `content` and cannot change any more. The caller closes it."""
    return _sealed_file([content], "enginehost-payload")


def memory_file_of_parts(parts: Iterable[bytes]) -> int:
    """As `memory_file`, for `read_parts`. Each part is written before the next is asked for.

    Raises what `parts` raises; then there is no file.
    """
    return _sealed_file((piece for part in parts for piece in (_LENGTH.pack(len(part)), part)), "enginehost-parts")


def sized(part: bytes) -> bytes:
    """A part with its length before it."""
    return _LENGTH.pack(len(part)) + part


def stream_parts(stream: BinaryIO) -> Iterator[bytes]:
    """The parts that another process writes to a pipe, until it closes it; one that is cut is left out."""
    while len(head := stream.read(_LENGTH.size)) == _LENGTH.size:
        (length,) = _LENGTH.unpack(head)
        part = stream.read(length)
        if len(part) < length:
            return
        yield part


def _sealed_file(pieces: Iterable[bytes], name: str) -> int:
    descriptor = os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        for piece in pieces:
            view = memoryview(piece)
            while view:
                view = view[os.write(descriptor, view) :]
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, MEMORY_FILE_SEALS)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def read_memory_file(descriptor: int) -> bytes:
    """The whole content of a memory file, whatever the descriptor's position. Does not close it."""
    return _piece(descriptor, 0, os.fstat(descriptor).st_size)


def read_parts(descriptor: int) -> Iterator[bytes]:
    """The parts of a memory file, one after another. Does not close it. Raises `Broken` where it is cut."""
    size, offset = os.fstat(descriptor).st_size, 0
    while offset < size:
        (length,) = _LENGTH.unpack(_piece(descriptor, offset, _LENGTH.size))
        yield _piece(descriptor, offset + _LENGTH.size, length)
        offset += _LENGTH.size + length


def growing_parts(descriptor: int, offset: int) -> Iterator[tuple[bytes, int]]:
    """The parts from a place on in a file that is being written, each with the place behind it, as far as they are
    whole."""
    size = os.fstat(descriptor).st_size
    while offset + _LENGTH.size <= size:
        (length,) = _LENGTH.unpack(_piece(descriptor, offset, _LENGTH.size))
        begin, offset = offset + _LENGTH.size, offset + _LENGTH.size + length
        if offset > size:
            return
        yield _piece(descriptor, begin, length), offset


def _piece(descriptor: int, offset: int, length: int) -> bytes:
    """Bytes of a file; a single read returns at most 2 GiB."""
    pieces: list[bytes] = []
    left = length
    while left:
        piece = os.pread(descriptor, left, offset + length - left)
        if not piece:
            raise Broken(f"memory file: {length - left} of {length} bytes at {offset}")
        pieces.append(piece)
        left -= len(piece)
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def _outsized(descriptors: list[int]) -> bytes:
    """The packet in the file of the last descriptor, which is closed and removed. Raises `Broken`."""
    if not descriptors:
        raise Broken("socket pair: an outsized packet without its file")
    file = descriptors.pop()
    try:
        size = os.fstat(file).st_size
        if size > OUTSIZED_BYTES_MAX:
            raise Broken(f"socket pair: an outsized packet of {size} bytes")
        return read_memory_file(file)
    finally:
        os.close(file)


def close_all(descriptors: Sequence[int]) -> None:
    """Close each."""
    for descriptor in descriptors:
        os.close(descriptor)


def _descriptors(ancillary: list[Any]) -> list[int]:
    found = array.array("i")
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            found.frombytes(data[: len(data) - len(data) % found.itemsize])
    return found.tolist()
