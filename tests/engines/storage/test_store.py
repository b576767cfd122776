"""The chunk store over the twins of its devices: what is kept, what goes, and what a request is answered."""

from __future__ import annotations

import random
from typing import Any

import pytest
from example_world import World

from engines.crypto.keys import secret_from, sign
from engines.devices import file_store, key_value
from engines.devices.file_store import FileFolder, FilesVerified, KeptFiles
from engines.devices.key_value import Entries, KeyValueFile
from engines.model import Blob, Map, Ref, encode
from engines.storage.chunk import ChunkCommitment, Head, encrypted, promise
from engines.storage.jobs import JOBS_MAX, Kept
from engines.storage.requests import (
    BELOW_MAX,
    ChunkCommitments,
    ChunkContent,
    ChunkExists,
    ChunkFailed,
    ChunkGet,
    ChunkNotFound,
    ChunkPut,
    ChunkStored,
    Collect,
    Collected,
    Commit,
    ListPins,
    Marked,
    Pin,
    Pinned,
    Pins,
    Stores,
    Unpin,
    Verify,
)
from engines.storage.store import STORE

ANN: Ref[Any] = Ref("ann")
SECOND_NS = 1_000_000_000
GRACE_NS = 60 * SECOND_NS
SIGNER = secret_from(bytes(range(64)), can_sign=True, can_decrypt=False)


class Storage:
    """A store, its devices' twins, and one who asks."""

    def __init__(self, grace_ns: int = 0, choose: Any = lambda _: 0) -> None:
        self.world = World(outside=["ann"])
        self.choose = choose
        self.world.add("files", file_store.TWIN, FileFolder("/files"))
        self.world.add("index", key_value.TWIN, KeyValueFile("/index"))
        self.world.add("store", STORE, Stores(Ref("files"), Ref("index"), SECOND_NS, grace_ns))

    def ask(self, *orders: Any) -> list[Any]:
        """The answers to orders sent at once."""
        before = len(self.world.outside["ann"])
        for order in orders:
            self.world.send("store", order, sender="ann")
        self.world.run(self.choose)
        return self.world.outside["ann"][before:]

    def put(self, content: bytes, *children: bytes, expiry_ns: int = 0) -> bytes:
        """Put a chunk; its address."""
        [answer] = self.ask(ChunkPut(Blob(encrypted(content, Head(children, expiry_ns))[0]), ANN))
        assert isinstance(answer, ChunkStored | ChunkExists)
        return answer.address

    def has(self, address: bytes) -> bool:
        return isinstance(self.ask(ChunkGet(address, ANN))[0], ChunkContent)

    def index(self) -> Map[bytes, bytes]:
        state = self.world.state("index")
        assert isinstance(state, Entries)
        return state.values


def commitment(chunk: bytes, expiry_ns: int) -> ChunkCommitment:
    return ChunkCommitment(chunk, expiry_ns, sign(SIGNER, promise(chunk, expiry_ns)))


def test_a_chunk_is_stored_exists_and_comes_back() -> None:
    """False if a chunk is lost, or a second put says that it was new."""
    storage = Storage()
    chunk, read = encrypted(b"content")
    assert storage.ask(ChunkPut(Blob(chunk), ANN, 1)) == [ChunkStored(read.address, 1)]
    assert storage.ask(ChunkPut(Blob(chunk), ANN, 2)) == [ChunkExists(read.address, 2)]
    assert storage.ask(ChunkGet(read.address, ANN, 3)) == [ChunkContent(read.address, Blob(chunk), 3)]
    assert storage.ask(ChunkGet(bytes(32), ANN, 4)) == [ChunkNotFound(bytes(32), 4)]


def test_a_chunk_comes_with_those_below_it() -> None:
    """False if a get stopped above its depth, went below it, or its client could not tell when all is here."""
    storage = Storage()
    leaves = [storage.put(b"leaf %d" % number) for number in range(3)]
    inner = storage.put(b"inner", *leaves)
    root = storage.put(b"root", inner, leaves[0])
    levels = [[root], [inner, leaves[0]], leaves]
    for depth in range(4):
        found = storage.ask(ChunkGet(root, ANN, 7, depth))
        assert [one.address for one in found] == [one for level in levels[: depth + 1] for one in level]
        assert [one.following == 0 for one in found] == [False] * (len(found) - 1) + [True]
        assert {one.request for one in found} == {7}
    missing = bytes(32)
    holed = storage.put(b"holed", missing, leaves[2])
    head, hole, leaf = storage.ask(ChunkGet(holed, ANN, 8, 1))
    assert (hole, head.following, leaf.address) == (ChunkNotFound(missing, 8, 1), 2, leaves[2])


def test_a_get_has_a_bound() -> None:
    """False if one request for a wide chunk had no bound, or its last answer were not the last."""
    storage = Storage()
    leaf = storage.put(b"leaf")
    wide = storage.put(b"wide", *[leaf] * (BELOW_MAX + 5))
    wider = storage.put(b"wider", wide, wide)
    for root in (wide, wider):
        found = storage.ask(ChunkGet(root, ANN, 9, 5))
        assert (len(found), found[-1].following) == (1 + BELOW_MAX, 0)


def test_bad_requests_are_answered_and_change_nothing() -> None:
    """False if bytes from outside crash the store or get into it."""
    storage = Storage()
    now_ns = storage.world.now_ns
    old = Blob(encrypted(b"", Head(expiry_ns=now_ns))[0])
    forged = ChunkCommitment(bytes(32), now_ns + 9, sign(SIGNER, b"something else"))
    answers = storage.ask(
        ChunkPut(Blob(b"no chunk"), ANN),
        ChunkPut(old, ANN),
        Commit(forged, ANN),
        Commit(commitment(bytes(32), now_ns), ANN),
        Pin(bytes(32), "name", ANN),
    )
    reasons = [answer.reason for answer in answers if isinstance(answer, ChunkFailed)]
    assert reasons == ["malformed", "expired", "not signed", "expired"]
    assert ChunkNotFound(bytes(32), 0) in answers
    assert len(storage.index()) == 0


def test_a_chunk_goes_when_it_has_neither_a_commitment_nor_a_pin() -> None:
    """False if a chunk is kept for ever, or goes too early."""
    storage = Storage()
    pinned, committed, free = storage.put(b"1"), storage.put(b"2"), storage.put(b"3")
    until_ns = storage.world.now_ns + 5 * SECOND_NS
    marks = storage.ask(Pin(pinned, "name", ANN), Commit(commitment(committed, until_ns), ANN))
    assert marks == [Marked(pinned, 0), Marked(committed, 0)]
    [collected] = storage.ask(Collect(ANN))
    assert (collected.dropped, collected.kept) == (1, 2)
    assert [storage.has(address) for address in (pinned, committed, free)] == [True, True, False]
    storage.world.pass_time(5 * SECOND_NS)
    assert storage.ask(Unpin(pinned, "name", ANN), Collect(ANN))[-1].dropped == 2
    assert [storage.has(address) for address in (pinned, committed, free)] == [False] * 3
    assert len(storage.index()) == 0


def test_what_is_below_a_kept_chunk_is_kept() -> None:
    """False if collection takes parts out of a file."""
    storage = Storage()
    leaf, other = storage.put(b"leaf"), storage.put(b"other leaf")
    top = storage.put(b"top", storage.put(b"inner", leaf, bytes(32)))
    storage.ask(Pin(top, "name", ANN))
    assert storage.ask(Collect(ANN)) == [Collected(1, len(encrypted(b"other leaf")[0]), 3, 0)]
    assert storage.has(leaf)
    assert not storage.has(other)


def test_a_chunk_has_time_to_get_its_pin() -> None:
    """False if a collection takes the parts of a file that is being put, or keeps them without end."""
    storage = Storage(grace_ns=GRACE_NS)
    address = storage.put(b"leaf")
    assert storage.ask(Collect(ANN))[0].dropped == 0
    storage.world.pass_time(GRACE_NS)
    storage.put(b"leaf")
    assert storage.ask(Collect(ANN))[0].dropped == 0
    storage.world.pass_time(GRACE_NS)
    assert storage.ask(Collect(ANN))[0].dropped == 1
    assert not storage.has(address)


def test_commitments_answer_for_a_chunk_that_is_not_here() -> None:
    """False if one who asks is not sent to those who promised to keep the chunk, or to one whose promise is over."""
    storage = Storage()
    made = commitment(bytes(32), storage.world.now_ns + 5 * SECOND_NS)
    assert storage.ask(Commit(made, ANN)) == [Marked(bytes(32), 0)]
    assert storage.ask(ChunkGet(bytes(32), ANN)) == [ChunkCommitments(bytes(32), (made,), 0)]
    storage.world.pass_time(5 * SECOND_NS)
    assert storage.ask(ChunkGet(bytes(32), ANN)) == [ChunkNotFound(bytes(32), 0)]


def test_a_commitment_does_not_outlast_the_use_of_its_chunk() -> None:
    """False if a node promises what the chunk itself rules out."""
    storage = Storage()
    until_ns = storage.world.now_ns + 5 * SECOND_NS
    address = storage.put(b"content", expiry_ns=until_ns)
    [refused] = storage.ask(Commit(commitment(address, until_ns + 1), ANN))
    assert refused.reason == "expired"
    assert storage.ask(Commit(commitment(address, until_ns), ANN)) == [Marked(address, 0)]


def test_pins_are_listed_by_name() -> None:
    """False if a pin cannot be found again."""
    storage = Storage()
    address = storage.put(b"content")
    storage.ask(Pin(address, "a name", ANN), Pin(address, "another", ANN))
    pins = (Pinned("a name", address), Pinned("another", address))
    assert storage.ask(ListPins(ANN, request=7)) == [Pins(pins, b"", 7)]


def test_verifying_is_answered_by_the_files() -> None:
    """False if damage cannot be looked for through the store."""
    storage = Storage()
    storage.put(b"content")
    [verified] = storage.ask(Verify(ANN))
    assert isinstance(verified, FilesVerified)
    assert (verified.count, verified.damaged) == (1, ())


def test_a_silent_device_fails_the_request() -> None:
    """False if a request waits for ever for a device that lost it."""
    storage = Storage()
    storage.world.environments.pop("files")
    [failed] = storage.ask(ChunkGet(bytes(32), ANN, 5))
    assert (failed.reason, failed.request) == ("timeout", 5)


def test_too_many_requests_are_refused() -> None:
    """False if requests without end fill the memory."""
    storage = Storage()
    storage.world.environments.pop("files")
    for _ in range(JOBS_MAX + 1):
        storage.world.send("store", ChunkGet(bytes(32), ANN), sender="ann")
    storage.world.pass_time(0)
    assert [failed.reason for failed in storage.world.outside["ann"]] == ["busy"]


def test_answers_of_strangers_and_late_ones_are_disregarded() -> None:
    """False if anybody can make the store believe that a chunk is on the disk."""
    storage = Storage()
    storage.world.environments.pop("files")
    storage.world.send("store", ChunkPut(Blob(encrypted(b"content")[0]), ANN), sender="ann")
    storage.world.pass_time(0)
    [number] = storage.world.state("store").jobs
    storage.world.send("store", file_store.FileStored(bytes(32), number), sender="eve")
    storage.world.pass_time(0)
    assert storage.world.outside["ann"] == []
    assert storage.world.notes == ["an answer that was not asked for"]


def test_a_collection_that_a_kill_cut_off_is_finished_by_the_next() -> None:
    """False if files whose entry is gone stay on the disk."""
    storage = Storage()
    address, again = storage.put(b"cut off"), storage.put(b"put again")
    values = storage.index()
    for one in (address, again):
        values = values.set(b"d" + one, b"")
    values = values.without(b"h" + address)
    cut = Storage()
    cut.world.add("index", key_value.TWIN, KeyValueFile("/index"), state=Entries(values))
    cut.world.add("files", file_store.TWIN, FileFolder("/files"), state=storage.world.state("files"))
    cut.ask(Pin(again, "name", ANN))
    assert cut.ask(Collect(ANN))[0].dropped == 1
    assert cut.has(again)
    assert not cut.has(address)
    assert sorted(key[:1] for key in cut.index()) == [b"h", b"p"]


def test_a_collection_of_any_size_goes_in_batches() -> None:
    """False if a scan stops at its first answer, a batch is larger than a device takes, or some chunks are left."""
    chunks = dict(reversed(encrypted(b"%d" % n)) for n in range(1_500))
    contents = {read.address: chunk for read, chunk in chunks.items()}
    entries = {b"h" + address: encode(Kept((), len(chunk), 0, 0)) for address, chunk in contents.items()}
    stay, *back = sorted(contents)
    entries |= {b"d" + address: b"" for address in back[:700]}  # cut off often, and put again
    storage = Storage()
    storage.world.add("index", key_value.TWIN, KeyValueFile("/index"), state=Entries(Map(entries)))
    storage.world.add("files", file_store.TWIN, FileFolder("/files"), state=KeptFiles(Map(contents)))
    storage.ask(Pin(stay, "name", ANN))
    [collected] = storage.ask(Collect(ANN))
    assert (collected.dropped, collected.kept) == (1_499, 1)
    assert sorted(storage.world.state("files").contents) == [stay]
    assert sorted(key[:1] for key in storage.index()) == [b"h", b"p"]


@pytest.mark.parametrize("seed", [*range(12), *(pytest.param(seed, marks=pytest.mark.storm) for seed in range(12, 60))])
def test_a_chunk_that_was_answered_as_stored_during_a_collection_is_there(seed: int) -> None:
    """False if a put and a collection, in any interleaving, lose a chunk whose put was answered, or leave an entry
    without its file."""
    rng = random.Random(seed)
    storage = Storage(choose=None)
    world = storage.world
    # Order between two engines is kept, as on every link; all else is interleaved at random.
    storage.choose = lambda _count: next(
        n
        for n in rng.sample(range(_count), _count)
        if not any(
            earlier.outgoing.target == world.transit[n].outgoing.target and earlier.sender == world.transit[n].sender
            for earlier in world.transit[:n]
        )
    )
    chunks = [encrypted(b"%d" % n)[0] for n in range(6)]
    storage.ask(*(ChunkPut(Blob(chunk), ANN) for chunk in chunks))
    answers = storage.ask(Collect(ANN), *(ChunkPut(Blob(chunk), ANN, 1) for chunk in rng.sample(chunks, 4)))
    stored = {answer.address for answer in answers if isinstance(answer, ChunkStored | ChunkExists)}
    busy = [answer for answer in answers if isinstance(answer, ChunkFailed)]
    assert len(stored) + len(busy) == 4
    assert all(answer.reason == "busy" for answer in busy)
    files, entries = set(world.state("files").contents), {key[1:] for key in storage.index() if key[:1] == b"h"}
    assert stored <= files
    assert entries <= files
    assert all(key[:1] == b"h" for key in storage.index())


def test_the_files_hold_exactly_the_chunks() -> None:
    """False if a chunk is stored in another form than it was sent."""
    storage = Storage()
    chunk, read = encrypted(b"content")
    storage.ask(ChunkPut(Blob(chunk), ANN))
    assert dict(storage.world.state("files").contents.items()) == {read.address: chunk}
