"""A slot's control page: shows what a worker is doing, at any moment and after its death.

It lies in a memory file that the supervisor makes and keeps; the worker of the slot is the only writer, through a
memoryview of aligned 8-byte words (one store each, so a reader never sees half of one). It has no locks and needs none:
numbers may be one message old, and names are relied on only once the writer is dead; before, they are a hint.

| offset | size | type        | meaning                                                                      |
|--------|------|-------------|------------------------------------------------------------------------------|
| 0      | 8    | u64         | MAGIC, checked by both sides                                                 |
| 8      | 8    | u64         | reserved, 0                                                                  |
| 16     | 88   | u64[11]     | the words of `host.node.progress`, in its order                              |
| 104    | 8    |             | reserved                                                                     |
| 112    | 8    | u64         | bytes of the engine's name                                                   |
| 120    | 8    | u64         | bytes of the sender's name                                                   |
| 128    | 1024 | UTF-8       | name of the engine in flight                                                 |
| 1152   | 1024 | UTF-8       | name of the sender of the message in flight                                  |
| 2176   | 1920 |             | reserved                                                                     |
| 4096   |      | UTF-8       | stacks of the worker's threads, as faulthandler writes them on SIGUSR1        |

The stacks lie beyond the mapped page and are written with write(2), by a handler that needs neither the interpreter's
lock nor a worker that makes progress. Reader and writer share the file's position, which only they use.
"""

from __future__ import annotations

import faulthandler
import mmap
import os
import signal
import struct
from typing import Final

import msgspec

from host.node import progress
from host.node.news import Trigger
from host.node.progress import Words
from transport.port import Broken

PAGE_BYTES: Final = 4_096
MAGIC: Final = 0x32_45_47_41_50_48_45  # "EHPAGE2", little-endian
NAME_BYTES_MAX: Final = 1_024
STACKS_BYTES_MAX: Final = 16 * 1024
"""The most of the stacks that is read; faulthandler writes a hundred frames a thread."""

WORDS_AT: Final = 16
_WORDS: Final = struct.Struct(f"={progress.WORDS}Q")
LENGTHS_AT: Final = 112
ENGINE_AT: Final = 128
SENDER_AT: Final = 1_152


class Reading(msgspec.Struct, frozen=True):
    """One look at a page. `in_flight` is a message; timers in flight show only in `engine` and `words`."""

    engine: str
    in_flight: Trigger | None
    words: tuple[int, ...]


class ControlPage:
    """The writer's side: `Progress` in shared memory."""

    words: Words
    memory: memoryview
    """The whole page, for the cycle in C."""

    def __init__(self, descriptor: int, *, begins: bool = True) -> None:
        """Map the page; the descriptor stays the caller's. Unless it `begins` now, it is another process's to write."""
        self._map = mmap.mmap(descriptor, PAGE_BYTES, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)
        if int.from_bytes(self._map[:8], "little") != MAGIC:
            raise Broken(f"control page: begins with {self._map[:8].hex()}")
        self.memory = view = memoryview(self._map)
        self._lengths = view[LENGTHS_AT : LENGTHS_AT + 16].cast("Q")
        self.words = view[WORDS_AT : WORDS_AT + 8 * progress.WORDS].cast("Q")
        if begins:
            self.begin()

    def begin(self) -> None:
        """Zero the words of a predecessor."""
        for index in range(progress.WORDS):
            self.words[index] = 0

    def show(self, engine: str, sender: str) -> None:
        """As `Progress.show`. A name longer than its field is cut. The cycle in C does the same by itself."""
        _put_name(self.memory, self._lengths, 0, ENGINE_AT, engine)
        _put_name(self.memory, self._lengths, 1, SENDER_AT, sender)


def new_control_page() -> int:
    """A descriptor of a fresh page."""
    descriptor = os.memfd_create("enginehost-page", os.MFD_CLOEXEC)
    os.ftruncate(descriptor, PAGE_BYTES)
    os.pwrite(descriptor, MAGIC.to_bytes(8, "little"), 0)
    return descriptor


def write_stacks_to(descriptor: int) -> None:
    """From now on SIGUSR1 makes this process write its stacks after the page.

    Keeps a descriptor of its own, which the next call closes.
    """
    faulthandler.register(signal.SIGUSR1, file=os.fdopen(os.dup(descriptor), "wb", buffering=0), all_threads=True)


def clear_stacks(descriptor: int) -> None:
    """Remove stacks written before; the next ones begin right after the page."""
    os.ftruncate(descriptor, PAGE_BYTES)
    os.lseek(descriptor, PAGE_BYTES, os.SEEK_SET)


def read_stacks(descriptor: int) -> str:
    """The stacks written since `clear_stacks`, at most `STACKS_BYTES_MAX` bytes."""
    return os.pread(descriptor, STACKS_BYTES_MAX, PAGE_BYTES).decode(errors="replace")


def read_words(descriptor: int) -> tuple[int, ...]:
    """The words of `host.node.progress` as they are now."""
    return _WORDS.unpack(os.pread(descriptor, _WORDS.size, WORDS_AT))


def read_control_page(descriptor: int) -> Reading:
    """The content of the page now. Raises `Broken` if it is no control page."""
    page = os.pread(descriptor, PAGE_BYTES, 0)
    if len(page) != PAGE_BYTES or int.from_bytes(page[:8], "little") != MAGIC:
        raise Broken(f"control page: {len(page)} bytes that begin with {page[:8].hex()}")
    words = _WORDS.unpack_from(page, WORDS_AT)
    engine, sender = _name(page, 0, ENGINE_AT), _name(page, 1, SENDER_AT)
    is_busy = words[progress.N] != 0
    is_message = is_busy and words[progress.MAILBOX] != progress.TIMERS
    position = (words[progress.MAILBOX], words[progress.EPOCH], words[progress.N])
    return Reading(engine if is_busy else "", Trigger(engine, sender, *position) if is_message else None, words)


def _put_name(page: memoryview, lengths: memoryview, index: int, offset: int, name: str) -> None:
    encoded = name.encode()[:NAME_BYTES_MAX]
    if encoded:
        page[offset : offset + len(encoded)] = encoded
    lengths[index] = len(encoded)


def _name(page: bytes, index: int, offset: int) -> str:
    at = LENGTHS_AT + 8 * index
    length = min(int.from_bytes(page[at : at + 8], "little"), NAME_BYTES_MAX)
    return page[offset : offset + length].decode(errors="replace")
