"""The keep: a slot's memory where links are ZeroMQ's. What its process sent and nobody acknowledged, what it released.

A sealed memory file without a name, made and held by whoever gives out slots, so that it outlives the processes of the
slot. One process writes it, the slot's; peers read the header once, to learn whom they are linked with. No word is
shared between living processes: what counts is what the next process of the slot finds.

  offset  size  meaning
       0     8  magic "EHKEEP" and two zeros
       8     8  layout version
      16     8  identity: random
      24     8  lane_bytes, a power of two
      32     8  arena_bytes, a multiple of CHUNK_BYTES
      64     8  generation: processes so far
    4096   128  peer 0:
             0 8 reader: identity of the slot that this lane is for
             8 8 head: bytes that were acknowledged, for ever
            16 8 tail: bytes that were published, for ever
            64 8 writer: identity of the slot that `released` is about
            72 8 released: bytes of its lane that were handled, for ever
       …         peers 1 to 63
   12288     n  ring to slot 0, lane_bytes, allocated on first use
       …         rings to slots 1 to 63
       …         the arena: chunks of 256 KiB, allocated on first use

Between head and tail of a ring lie records, one after the other, wrapping around byte by byte. A record is a frame
(`frames.py`, whose position is the record's), or, where that is larger than what the lane counts for it, a reference:

  offset  size  meaning
       0     4  length of the record, with bit 31 set
       4     4  bytes counted of the lane's capacity
       8     8  length of the frame
      16   2 n  the chunks of the arena it lies in, in order

Owners. Bytes between head and tail and the chunks referred to there are kept; all others are free to be written. There
is no list of chunks in the memory: who opens it finds those in use by reading the records, so none can get lost.

What a death leaves:
  writing a record or chunks   the tail has not moved: nobody sees it, the next process writes over it
  after the tail               published: the next process finds it and sends it
  after the socket took it     found and sent again; the receiver passes over what it has, by its position
  before head moves            sent again, passed over
  after head moved             the chunks are free for the next process
  before `released` moves      the receiver's next process asks for it again
  between two peers' marks     each is right by itself
  taking a lane for another    head goes to tail first, `released` to 0, then the identity is stored: done again by the
  peer                         next process, with the same outcome
Each word is stored at once, through an aligned view of 8 bytes. A process that was stopped and wakes up when the slot
has a next one sees another generation and writes no more; a store already on its way no check can stop, therefore a
slot is given on only when its last process is gone.

Positions and one writer a word as in Aeron's ring buffers; keeping until acknowledged as in any reliable transport.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import struct
from typing import Final, NamedTuple

from transport.keep_arena import CHUNK_BYTES, Arena
from transport.kept_lane import ENTRIES, ENTRY_BYTES, READER, KeptLane
from transport.port import ARENA_BYTES, LANE_BYTES, MESSAGE_BYTES_MAX, SLOTS_MAX, Broken

MAGIC: Final = int.from_bytes(b"EHKEEP\0\0", "little")
LAYOUT_VERSION: Final = 1
LANE_BYTES_MIN: Final = 1 << 14
"""A reference to the largest frame fits what an eighth of a lane counts."""
LANE_BYTES_MAX: Final = 1 << 30
ARENA_BYTES_MAX: Final = CHUNK_BYTES << 15
"""8 GiB: a chunk's number fits 16 bits."""

_HEADER: Final = struct.Struct("<5Q")
RINGS: Final = ENTRIES + SLOTS_MAX * ENTRY_BYTES
_SEALS: Final = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL
_GENERATION: Final = 8
_WRITER: Final = 8
_RELEASED: Final = 9


class Header(NamedTuple):
    """What a keep says of itself."""

    identity: int
    lane_bytes: int
    arena_bytes: int

    def arena_offset(self) -> int:
        """Where the chunks begin."""
        return -(-(RINGS + SLOTS_MAX * self.lane_bytes) // CHUNK_BYTES) * CHUNK_BYTES

    def file_bytes(self) -> int:
        """How long the file is."""
        return self.arena_offset() + self.arena_bytes


def create_keep(lane_bytes: int = LANE_BYTES, arena_bytes: int = ARENA_BYTES) -> int:
    """Make the memory of a slot: a descriptor, which the caller owns. The arena also gets place for heads of frames."""
    _check_sizes(lane_bytes, arena_bytes)
    identity = int.from_bytes(os.urandom(8), "little") or 1
    heads = arena_bytes // MESSAGE_BYTES_MAX * CHUNK_BYTES
    header = Header(identity, lane_bytes, arena_bytes // CHUNK_BYTES * CHUNK_BYTES + heads)
    fd = os.memfd_create("enginehost-keep", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        os.ftruncate(fd, header.file_bytes())
        os.posix_fallocate(fd, 0, RINGS)
        os.pwrite(fd, _HEADER.pack(MAGIC, LAYOUT_VERSION, *header), 0)
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, _SEALS)
    except BaseException:
        os.close(fd)
        raise
    return fd


def _check_sizes(lane_bytes: int, arena_bytes: int) -> None:
    if not LANE_BYTES_MIN <= lane_bytes <= LANE_BYTES_MAX or lane_bytes & lane_bytes - 1:
        raise ValueError(f"lane_bytes {lane_bytes} is not a power of two from {LANE_BYTES_MIN} to {LANE_BYTES_MAX}")
    if not MESSAGE_BYTES_MAX <= arena_bytes <= ARENA_BYTES_MAX:
        raise ValueError(f"arena_bytes {arena_bytes} is not from {MESSAGE_BYTES_MAX} to {ARENA_BYTES_MAX}")


def read_header(fd: int) -> Header:
    """Whose memory this is. Raises Broken when it is no keep, or one that could change its size under a mapping."""
    data = os.pread(fd, _HEADER.size, 0)
    if len(data) < _HEADER.size:
        raise Broken(f"a keep of {len(data)} bytes")
    magic, version, *rest = _HEADER.unpack(data)
    if magic != MAGIC or version != LAYOUT_VERSION:
        raise Broken(f"a keep with magic {magic:#x} and layout {version}, this is {MAGIC:#x} and {LAYOUT_VERSION}")
    header = Header(*rest)
    try:
        _check_sizes(header.lane_bytes, header.arena_bytes)
    except ValueError as finding:
        raise Broken(f"a keep whose {finding}") from None
    size = os.fstat(fd).st_size
    if size != header.file_bytes() or header.identity == 0 or fcntl.fcntl(fd, fcntl.F_GET_SEALS) & _SEALS != _SEALS:
        raise Broken(f"a keep of {size} bytes, {header.file_bytes()} expected, sealed, with an identity")
    return header


class Keep:
    """The slot's own end, mapped for writing. Opening it takes the slot over: `generation` rises."""

    def __init__(self, fd: int) -> None:
        """Takes over `fd`, also by a failure. Raises `Broken`, OSError."""
        self.fd = fd
        try:
            self.header = read_header(fd)
            self._map = mmap.mmap(fd, self.header.file_bytes())
        except BaseException:
            os.close(fd)
            raise
        self.bytes = memoryview(self._map)
        self.words = self.bytes[:RINGS].cast("Q")
        self.generation = self.words[_GENERATION] + 1
        self.words[_GENERATION] = self.generation
        try:
            self.arena = Arena(self)
            self._find_chunks()
        except BaseException:
            self.close()
            raise

    def check_owner(self, slot: int) -> None:
        """Raises Broken when the slot has a next process: best effort, no check can stop a store."""
        if self.words[_GENERATION] != self.generation:
            raise Broken(
                f"slot {slot}: another process has taken it over (generation {self.words[_GENERATION]}, this is "
                f"{self.generation})"
            )

    def lane(self, peer: int, identity: int) -> KeptLane:
        """The lane to a peer. One that was for another slot of that number is emptied first."""
        lane = KeptLane(self, peer, RINGS + peer * self.header.lane_bytes)
        if self.words[lane.entry + READER] != identity:
            self._empty(lane)
            self.words[lane.entry + READER] = identity
        return lane

    def forget(self, peer: int) -> None:
        """A peer that this process is not linked with is gone: nothing is kept for it. Raises Broken, as `records`."""
        self._empty(KeptLane(self, peer, RINGS + peer * self.header.lane_bytes))

    def _empty(self, lane: KeptLane) -> None:
        self.arena.give_back([chunk for kept in lane.records() for chunk in kept.chunks])
        lane.move_head(lane.tail())

    def mark(self, peer: int, identity: int) -> Mark:
        """How far a peer's lane was handled. About another slot of that number it says nothing."""
        mark = Mark(self.words, peer)
        if self.words[mark.entry + _WRITER] != identity:
            mark.move(0)
            self.words[mark.entry + _WRITER] = identity
        return mark

    def _find_chunks(self) -> None:
        """Take those that records refer to out of the arena's free ones."""
        for peer in range(SLOTS_MAX):
            for kept in KeptLane(self, peer, RINGS + peer * self.header.lane_bytes).records():
                for chunk in kept.chunks:
                    self.arena.take(chunk, f"record at {kept.position} to slot {peer}")
        self.arena.trim()

    def close(self) -> None:
        """Unmap. What is kept stays for the slot's next process. Idempotent."""
        self.words.release()
        self.bytes.release()
        self._map.close()
        os.close(self.fd)

    def give_pages_back(self, offset: int) -> None:
        """Let go of the pages from `offset` to the file's end."""
        self._map.madvise(mmap.MADV_REMOVE, offset, self.header.file_bytes() - offset)


class Mark:
    """`released` of one peer's lane."""

    def __init__(self, words: memoryview[int], peer: int) -> None:
        self.entry = (ENTRIES + peer * ENTRY_BYTES) // 8
        self._words = words

    def position(self) -> int:
        """Below it all was handled."""
        return self._words[self.entry + _RELEASED]

    def move(self, position: int) -> None:
        """One store: before it the frames come again, after it they do not."""
        self._words[self.entry + _RELEASED] = position
