"""The client's side of a chunk store: files to chunks and back, over the control socket of a node.

Each thread has a connection of its own, and `WINDOW` chunks are under way at once, so memory is bounded whatever the
size of a file: a chunk in flight takes about five times its size. Chunks are encrypted and decrypted here; the node
sees no key. A put that a killed client leaves behind is dropped by a collection.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from itertools import count
from types import TracebackType
from typing import IO, Any, Final, Self, TypeVar

from engines.storage.chunk import CONTENT_BYTES_MAX, ReadKey, address_of, decrypted, encrypted
from engines.storage.tree import Leaf, TreeWriter, leaves
from host.cli.problem import CliError
from host.cli.session import MARGIN_NS
from host.live.control.client import Client
from host.live.control.protocol import ControlError, TypedField

THREADS: Final = 4
WINDOW: Final = 8
"""Chunks under way: enough to keep the disk's syncs together."""

ANSWER_NS: Final = 8_000_000_000
"""Longer than a chunk store waits for a device, by default. A killed store costs a request this time."""

COLLECT_NS: Final = 300_000_000_000
"""A collection reads the whole index, and may delete much."""

TRIES_MAX: Final = 5
TRY_AGAIN_S: Final = 0.2
"""Between two tries, times their number, of a request that was refused as `busy`, or that a kill may have lost."""

LOST: Final = ("timeout", "failed", "not_ready")
"""Errors after which a request may be lost: no answer, a dead letter of a killed process, a process that restarts."""

Moved = Callable[[int], None]
R = TypeVar("R")
T = TypeVar("T")


class ChunkClient:
    """Puts and gets files at the chunk store `engine` of the node that listens at `control`."""

    def __init__(self, control: str, engine: str) -> None:
        self._control = control
        self._engine = engine
        self._local = threading.local()
        self._clients = ExitStack()
        self._threads = ThreadPoolExecutor(THREADS)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        is_interrupted = isinstance(error, KeyboardInterrupt)  # the process ends: nobody waits for what is under way
        self._threads.shutdown(wait=not is_interrupted, cancel_futures=True)
        if not is_interrupted:
            self._clients.close()

    def ask(self, tag: str, wait: str, answer_ns: int = ANSWER_NS, /, **fields: TypedField) -> dict[str, Any]:
        """The answer to a message; `wait`: its types. What a killed process may have lost is asked again, which is
        harmless. Raises CliError for `ChunkFailed`, ControlError.
        """
        args: dict[str, Any] = {"engine": self._engine, "tag": tag, "fields": fields}
        args |= {"wait": f"{wait}|ChunkFailed", "timeout_ns": answer_ns}
        for tries in count(1):
            is_last = tries == TRIES_MAX
            try:
                answer = self._exchange(args)
            except ControlError as error:
                if is_last or error.error not in LOST:
                    raise
            else:
                if answer["type"] != "ChunkFailed":
                    return answer
                if is_last or answer["reason"] not in ("busy", "timeout"):
                    kind = "violated" if answer["reason"] == "damaged" else "failed"
                    raise CliError(kind, f"{self._engine}: {answer['reason']}: {answer['detail']}")
            time.sleep(TRY_AGAIN_S * tries)
        raise AssertionError("the last try returns or raises")

    def _exchange(self, args: dict[str, Any]) -> dict[str, Any]:
        """One request. After an error the connection is dropped: its answer may still come."""
        client = self._client()
        try:
            response = client.request("send", args, timeout_ns=args["timeout_ns"] + MARGIN_NS)
        except ControlError:
            self._local.client = None
            raise
        if not response.items:
            raise ControlError("refused", "the node gave no answer")
        found: dict[str, Any] = response.items[0]
        return found

    def put_chunk(self, chunk: bytes) -> None:
        """Store a chunk."""
        self.ask("ChunkPut", "ChunkStored|ChunkExists", chunk=TypedField("bytes", chunk))

    def get_chunk(self, address: bytes) -> bytes:
        """The chunk at an address. Raises CliError (`not_found`, `violated`), ControlError."""
        answer = self.ask(
            "ChunkGet", "ChunkContent|ChunkCommitments|ChunkNotFound", address=TypedField("bytes", address)
        )
        if answer["type"] != "ChunkContent":
            elsewhere = [one["signed"]["key"]["verifying"] for one in answer.get("commitments", ())]
            hint = f"; promised by {', '.join(elsewhere)}" if elsewhere else ""
            raise CliError("not_found", f"chunk {address.hex()} is not here{hint}")
        chunk = bytes.fromhex(answer["chunk"][2:])
        if address_of(chunk) != address:
            raise CliError("violated", f"chunk {address.hex()}: what came has another hash")
        return chunk

    def put_file(self, file: IO[bytes], secret: bytes, moved: Moved) -> ReadKey:
        """Store a file; `moved` is called with the bytes stored so far."""
        tree = TreeWriter(self.put_chunk, secret)
        total = 0
        for read, size in self._in_order(lambda piece: self._put_piece(piece, secret), _pieces(file)):
            tree.add(read, size)
            moved(total := total + size)
        return tree.finish()

    def get_file(self, read: ReadKey, file: IO[bytes], moved: Moved) -> int:
        """Write a stored file to `file`; its size. Raises ChunkError for what is no tree, and as `get_chunk`."""
        total = 0
        for content in self._in_order(self._get_piece, leaves(read, self.get_chunk)):
            file.write(content)
            moved(total := total + len(content))
        return total

    def _put_piece(self, piece: bytes, secret: bytes) -> tuple[ReadKey, int]:
        chunk, read = encrypted(piece, secret=secret)
        self.put_chunk(chunk)
        return read, len(piece)

    def _get_piece(self, leaf: Leaf) -> bytes:
        content = decrypted(self.get_chunk(leaf.read.address), leaf.read.key)
        if leaf.size_bytes not in (-1, len(content)):
            raise CliError("violated", f"chunk {leaf.read.address.hex()}: {len(content)} bytes, not {leaf.size_bytes}")
        return content

    def _in_order(self, work: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
        """The results in order, `WINDOW` at most under way."""
        under_way = deque[Future[R]]()
        for item in items:
            under_way.append(self._threads.submit(work, item))
            if len(under_way) == WINDOW:
                yield under_way.popleft().result()
        while under_way:
            yield under_way.popleft().result()

    def _client(self) -> Client:
        """The connection of this thread."""
        client: Client | None = getattr(self._local, "client", None)
        if client is None:
            client = self._local.client = Client(self._control)
            self._clients.callback(client.close)
        return client


def _pieces(file: IO[bytes]) -> Iterator[bytes]:
    """The pieces of a file; an empty file has one."""
    piece = file.read(CONTENT_BYTES_MAX)
    yield piece
    while piece := file.read(CONTENT_BYTES_MAX) if piece else b"":
        yield piece
