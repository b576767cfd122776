"""A file store: content by its BLAKE3 hash, one file each, below one folder.

The device computes the name itself, so the outside cannot choose a path, and the same content is one file. Whatever is
read is hashed again: a changed bit is an answer that names chunk and file, and the content is not sent.

A file is written as `incoming/NUMBER`, synced, renamed to `xx/HASH` (`xx`: the first two digits), and its folder
synced, before `FileStored` is sent. A put of content whose file is damaged replaces the file. Orders at hand are done
together in `THREADS` threads, so they share the disk's syncs; two about the same content are done in order.

Crash points. Before the rename: no file, and a temporary one, which the next start removes. After it: the whole file;
the next start syncs its folder. The order without an answer is to be repeated, and the answer is `FileExists`.

`respond` and `Files` are the behaviour of both, driver and twin.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, aclosing
from functools import partial
from typing import Annotated, Any, Final, Protocol, TypeAlias

from blake3 import blake3
from msgspec import Meta

from engines.devices.at_hand import mail_at_hand
from engines.devices.folders import ADDRESS_BYTES, Folder, path_of
from engines.model import (
    Arrived,
    Become,
    Blob,
    Config,
    Delivery,
    Device,
    DeviceHost,
    Effects,
    Family,
    Map,
    Message,
    Ref,
    Send,
    Value,
    rule,
)

FILE_BYTES_MAX: Final = 4 << 20
"""Content of one file; the memory that an order may take."""

AT_HAND_MAX: Final = 64
AT_HAND_BYTES_MAX: Final = 16 << 20
"""Orders that are done together, and the content in them."""

THREADS: Final = 4
"""With four syncs at a time a disk writes three to six times as much as with one."""

DELETED_MAX: Final = 1_000
LISTED_MAX: Final = 1_000

Address: TypeAlias = Annotated[bytes, Meta(min_length=ADDRESS_BYTES, max_length=ADDRESS_BYTES)]


class FileFolder(Config):
    """The folder; a relative path begins at the folder in which the node was started.

    `size_bytes_max` bounds the content of all files; beyond it, content is refused.
    """

    path: str
    size_bytes_max: Annotated[int, Meta(ge=1)] = 1 << 40


class PutFile(Message):
    """Keep `content`."""

    content: Blob
    destination: Ref[FileStored | FileExists | FileRefused]
    request: int = 0


class FileStored(Message):
    """The content is on the disk, under its hash."""

    address: bytes
    request: int


class FileExists(Message):
    """The content was there already."""

    address: bytes
    request: int


class FileRefused(Message):
    """The content is not kept, for this reason."""

    detail: str
    request: int


class GetFile(Message):
    """Send the content with this hash."""

    address: Address
    destination: Ref[FileContent | FileMissing | FileDamaged]
    request: int = 0


class FileContent(Message):
    """The content, which has this hash."""

    address: bytes
    content: Blob
    request: int


class FileMissing(Message):
    """There is no such file."""

    address: bytes
    request: int


class FileDamaged(Message):
    """What the file of this hash contains has another hash, or cannot be read."""

    address: bytes
    path: str
    detail: str
    request: int


class DeleteFiles(Message):
    """Delete the files of these hashes; none need be there."""

    addresses: Annotated[tuple[Address, ...], Meta(max_length=DELETED_MAX)]
    destination: Ref[FilesDeleted]
    request: int = 0


class FilesDeleted(Message):
    """There are no such files; so many there were, of so many bytes."""

    count: int
    size_bytes: int
    request: int


class VerifyFiles(Message):
    """Read the files from hash `first` on, and compare content and name; at most `count`."""

    destination: Ref[FilesVerified]
    first: Annotated[bytes, Meta(max_length=ADDRESS_BYTES)] = b""
    count: Annotated[int, Meta(ge=1, le=LISTED_MAX)] = 64
    request: int = 0


class Damage(Value):
    """A file whose content does not have its hash: which, where, and what was found."""

    address: bytes
    path: str
    detail: str


class FilesVerified(Message):
    """So many files, so many bytes, and the damaged ones; `following` is the hash to go on with, b"" at the end."""

    count: int
    size_bytes: int
    damaged: tuple[Damage, ...]
    following: bytes
    request: int


Order: TypeAlias = PutFile | GetFile | DeleteFiles | VerifyFiles
Answer: TypeAlias = (
    FileStored | FileExists | FileRefused | FileContent | FileMissing | FileDamaged | FilesDeleted | FilesVerified
)


class Files(Protocol):
    """Content by address."""

    def read(self, address: bytes) -> bytes | None:
        """The bytes there; None: no file. Raises OSError."""
        ...

    def write(self, address: bytes, content: Blob) -> bool:
        """Keep content; False: it does not fit. Raises OSError."""
        ...

    def delete(self, addresses: tuple[bytes, ...]) -> tuple[int, int]:
        """Delete files; how many there were, of how many bytes. Raises OSError."""
        ...

    def addresses(self, first: bytes, count: int) -> list[bytes]:
        """At most `count` addresses from `first` on, in order. Raises OSError."""
        ...

    def path(self, address: bytes) -> str:
        """Where the file is."""
        ...


def address_of(content: bytes | memoryview) -> bytes:
    """The name of content: its BLAKE3 hash."""
    return blake3(content).digest()


def subject_of(order: Order) -> bytes | None:
    """The address that an order is about; None: many. Hashes what is put."""
    match order:
        case PutFile():
            return address_of(order.content.view)
        case GetFile():
            return order.address
        case DeleteFiles() | VerifyFiles():
            return None


def respond(order: Order, subject: bytes | None, files: Files) -> Answer:
    """Reads or changes the files, and returns the answer. Raises OSError when the disk cannot be written."""
    match order:
        case PutFile():
            assert subject is not None
            return _put(order, subject, files)
        case GetFile():
            return _get(order, files)
        case DeleteFiles():
            return FilesDeleted(*files.delete(order.addresses), order.request)
        case VerifyFiles():
            return _verified(order, files)


def _put(order: PutFile, address: bytes, files: Files) -> Answer:
    if len(order.content) > FILE_BYTES_MAX:
        return FileRefused(f"{len(order.content)} bytes; a file has at most {FILE_BYTES_MAX}", order.request)
    there, _ = checked(address, files)
    if there is not None:
        return FileExists(address, order.request)
    if not files.write(address, order.content):
        return FileRefused("the store is full", order.request)
    return FileStored(address, order.request)


def _get(order: GetFile, files: Files) -> Answer:
    content, damage = checked(order.address, files)
    if damage is not None:
        return FileDamaged(damage.address, damage.path, damage.detail, order.request)
    if content is None:
        return FileMissing(order.address, order.request)
    return FileContent(order.address, Blob(content), order.request)


def checked(address: bytes, files: Files) -> tuple[bytes | None, Damage | None]:
    """The content, if its hash is right; None and None: there is none."""
    try:
        content = files.read(address)
    except OSError as error:
        return None, Damage(address, files.path(address), f"cannot be read: {error.strerror}")
    if content is None:
        return None, None
    if (found := address_of(content)) != address:
        return None, Damage(address, files.path(address), f"{len(content)} bytes with the hash {found.hex()}")
    return content, None


def _verified(order: VerifyFiles, files: Files) -> FilesVerified:
    addresses = files.addresses(order.first, order.count + 1)
    here = addresses[: order.count]
    following = addresses[order.count] if len(addresses) > order.count else b""
    size, damaged = 0, list[Damage]()
    for address in here:
        content, damage = checked(address, files)
        size += len(content or b"")
        damaged += [damage] if damage else []
    return FilesVerified(len(here), size, tuple(damaged), following, order.request)


class FileStore:
    """The driver: the orders at hand together, in threads."""

    async def run(self, host: DeviceHost) -> None:
        """Run until cancelled. Raises OSError when the folder cannot be used or the disk cannot be written."""
        with (
            ExitStack() as opened,
            ThreadPoolExecutor(THREADS) as threads,
        ):  # writes end before the close
            loop = asyncio.get_running_loop()
            folder = await loop.run_in_executor(threads, Folder, host.config.path, host.config.size_bytes_max)
            opened.callback(folder.close)
            batches = mail_at_hand(host, AT_HAND_MAX, _content_bytes, AT_HAND_BYTES_MAX)
            async with aclosing(batches):
                async for order, answer in _answered(batches, threads, folder):
                    await host.send_when_writable(order.destination, answer)


async def _answered(
    batches: AsyncGenerator[list[Delivery[Any]], None], threads: ThreadPoolExecutor, folder: Folder
) -> AsyncGenerator[tuple[Any, Answer], None]:
    """Each order with its answer, in order. Near the bound of the store one order is done at a time, so that what fits
    is what came first."""
    run = partial(asyncio.get_running_loop().run_in_executor, threads)
    async for mail in batches:
        orders = [each.message for each in mail]
        subjects = await asyncio.gather(*(run(subject_of, order) for order in orders))
        has_room = folder.has_room(sum(map(_content_bytes, orders)))
        ranges = together(subjects) if has_room else [(n, n + 1) for n in range(len(orders))]
        for begin, end in ranges:
            jobs = (run(respond, orders[n], subjects[n], folder) for n in range(begin, end))
            for order, answer in zip(orders[begin:end], await asyncio.gather(*jobs), strict=True):
                yield order, answer


def together(subjects: Sequence[bytes | None]) -> Iterator[tuple[int, int]]:
    """Ranges of orders about different content, in order; one about many is alone."""
    begin, seen = 0, set[bytes]()
    for n, subject in enumerate(subjects):
        if n > begin and (subject is None or subject in seen or subjects[n - 1] is None):
            yield begin, n
            begin, seen = n, set()
        seen |= {subject} if subject is not None else set()
    if begin < len(subjects):
        yield begin, len(subjects)


def _content_bytes(order: Order) -> int:
    return len(order.content) if isinstance(order, PutFile) else 0


class KeptFiles(Value):
    """State of the twin."""

    contents: Map[bytes, bytes] = Map()


class MapFiles:
    """The twin's files during an order."""

    def __init__(self, contents: Map[bytes, bytes], config: FileFolder) -> None:
        self.contents = contents
        self._config = config

    def read(self, address: bytes) -> bytes | None:
        """As `Files.read`."""
        return self.contents.get(address)

    def write(self, address: bytes, content: Blob) -> bool:
        """As `Files.write`."""
        if sum(map(len, self.contents.values())) + len(content) > self._config.size_bytes_max:
            return False
        self.contents = self.contents.set(address, bytes(content))
        return True

    def delete(self, addresses: tuple[bytes, ...]) -> tuple[int, int]:
        """As `Files.delete`."""
        there = {address: self.contents[address] for address in addresses if address in self.contents}
        for address in there:
            self.contents = self.contents.without(address)
        return len(there), sum(map(len, there.values()))

    def addresses(self, first: bytes, count: int) -> list[bytes]:
        """As `Files.addresses`."""
        return sorted(address for address in self.contents if address >= first)[:count]

    def path(self, address: bytes) -> str:
        """As `Files.path`."""
        return path_of(self._config.path, address)


@rule
def serve(
    order: Order, t: Arrived[PutFile | GetFile | DeleteFiles | VerifyFiles, FileFolder, KeptFiles]
) -> Effects[KeptFiles, Any]:
    """Twin. State: the files. Messages: the answer, to the destination. Timers, engines: none."""
    files = MapFiles(t.env.state.contents, t.config)
    answer = respond(order, subject_of(order), files)
    destination: Ref[Any] = order.destination
    return [Become(KeptFiles(files.contents)), Send(destination, answer)]


TWIN = Family("file-store-twin", config=FileFolder, state=KeptFiles(), accepts=Order, emits=Answer).rules(serve)
FILE_STORE = Device("file-store", config=FileFolder, accepts=Order, emits=Answer, driver=FileStore, twin=TWIN)
