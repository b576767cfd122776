"""The keep: a slot's memory when links use ZeroMQ. It holds sent frames until they are acknowledged, and how far
peers' frames were handled.

A sealed, unnamed memory file, created and held by the supervisor, so it outlives the slot's processes. Only the slot's
process writes it; peers read the header once, to learn the identity of the slot they are linked with. Living processes
share no word: the file exists for the next process of the slot.

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

Owners. Bytes between head and tail, and the chunks that records there refer to, are kept; everything else may be
written. The memory has no list of chunks: opening a keep reads the records to find the chunks in use, so none can get
lost.

What a death leaves:
  writing a record or chunks   the tail has not moved: the next process writes over it
  after the tail               published: the next process finds it and sends it
  after the socket took it     found and sent again; the receiver passes over what it has, by its position
  before head moves            sent again, passed over
  after head moved             the chunks are free for the next process
  before `released` moves      the receiver's next process asks for it again
  between two peers' marks     each is right by itself
  taking a lane for another    head goes to tail first, `released` to 0, then the identity is stored: done again by the
  peer                         next process, with the same outcome
Each word is stored in one aligned 8-byte store. A process that was stopped and wakes up after the slot got its next
process sees another generation and stops writing. No check can stop a store already under way, so a slot is handed on
only once its last process is gone.

Positions and one writer a word as in Aeron's ring buffers; keeping until acknowledged as in any reliable transport.
"""

from __future__ import annotations

from typing import Final

from transport.keep_arena import Arena
from transport.keep_memory import KeepMemory, entry_word
from transport.kept_lane import READER, KeptLane
from transport.port import SLOTS_MAX, Broken

_GENERATION: Final = 8
_WRITER: Final = 8
_RELEASED: Final = 9


class Keep:
    """The slot's own end, mapped for writing. Opening it takes the slot over: `generation` rises."""

    def __init__(self, fd: int) -> None:
        """Takes over `fd`, also when it fails. Raises `Broken`, OSError."""
        self._memory = KeepMemory(fd)
        self._words = self._memory.words
        self.header = self._memory.header
        self.generation = self._words[_GENERATION] + 1
        self._words[_GENERATION] = self.generation
        try:
            self.arena = Arena(self._memory)
            self._find_chunks()
        except BaseException:
            self.close()
            raise

    def check_owner(self, slot: int) -> None:
        """Raises Broken when the slot has its next process. Best effort: no check can stop a store under way."""
        if self._words[_GENERATION] != self.generation:
            raise Broken(
                f"slot {slot}: another process has taken it over (generation {self._words[_GENERATION]}, this is "
                f"{self.generation})"
            )

    def lane(self, peer: int, identity: int) -> KeptLane:
        """The lane to a peer. A lane that belonged to an earlier slot of that number is emptied first."""
        lane = KeptLane(self._memory, self.arena, peer)
        if self._words[lane.entry + READER] != identity:
            self._empty(lane)
            self._words[lane.entry + READER] = identity
        return lane

    def forget(self, peer: int) -> None:
        """Drop what is kept for a peer that is gone and was never linked with this process. Raises Broken."""
        self._empty(KeptLane(self._memory, self.arena, peer))

    def _empty(self, lane: KeptLane) -> None:
        self.arena.give_back([chunk for kept in lane.records() for chunk in kept.chunks])
        lane.move_head(lane.tail())

    def mark(self, peer: int, identity: int) -> ReleasedMark:
        """How far a peer's lane was handled; 0 for a new slot of that number."""
        mark = ReleasedMark(self._words, peer)
        if self._words[mark.entry + _WRITER] != identity:
            mark.move(0)
            self._words[mark.entry + _WRITER] = identity
        return mark

    def _find_chunks(self) -> None:
        """Mark the chunks that records refer to as used."""
        for peer in range(SLOTS_MAX):
            for kept in KeptLane(self._memory, self.arena, peer).records():
                for chunk in kept.chunks:
                    self.arena.take(chunk, f"record at {kept.position} to slot {peer}")
        self.arena.trim()

    def close(self) -> None:
        """Unmap. What is kept stays for the slot's next process. Idempotent."""
        self._memory.close()


class ReleasedMark:
    """`released` of one peer's lane."""

    def __init__(self, words: memoryview[int], peer: int) -> None:
        self.entry = entry_word(peer)
        self._words = words

    def position(self) -> int:
        """Everything below it was handled."""
        return self._words[self.entry + _RELEASED]

    def move(self, position: int) -> None:
        """One store: before it the frames come again, after it they do not."""
        self._words[self.entry + _RELEASED] = position
