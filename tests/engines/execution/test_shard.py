"""A shard by itself: the rules of locks, reads, writes, queries and collection."""

from __future__ import annotations

import random

import msgspec
import pytest
from shard_steps import ShardAlone

from engines.execution.messages import KVSLockAcquired, KVSLockRefused, QueryAnswer, QueryRefused
from engines.execution.records import Inquiry, Reader, Record, Version, collected, seen_version
from engines.execution.shard import migrate
from engines.model import Ref, encode

A, B = b"a", b"b"


@pytest.fixture
def shard() -> ShardAlone:
    return ShardAlone()


def test_l1_a_lock_is_taken_once(shard: ShardAlone) -> None:
    """False if a lock that comes twice stood twice, or was not acknowledged the second time."""
    shard.lock(1, write=[A])
    before = shard.keys
    shard.lock(1, write=[A])
    assert shard.sent == [KVSLockAcquired(1, 1, 0)]
    assert shard.keys == before


def test_l1_a_lock_below_the_watermark_is_refused(shard: ShardAlone) -> None:
    """False if a lock came in below what readers were told is known."""
    shard.lock(1)
    shard.see(1)
    shard.lock(1, write=[A])
    assert shard.sent == [KVSLockRefused(1, 0)]
    assert shard.keys.records == {} or len(shard.keys.records) == 0


def test_l2_the_watermark_goes_up_only(shard: ShardAlone) -> None:
    """False if an older watermark that comes late took back a newer one."""
    shard.lock(1)
    shard.lock(2)
    shard.see(2)
    shard.see(1)
    assert (shard.keys.seen, shard.keys.watermark) == (2, 2)


def test_r1_a_read_waits_for_the_watermark(shard: ShardAlone) -> None:
    """False if a read were answered while a lock below it could still come."""
    shard.lock(2, read=[A])
    assert shard.sent == [KVSLockAcquired(2, 2, 0)]
    shard.lock(1)
    assert shard.see(2) == [None]


def test_r1_the_next_read_needs_no_watermark_of_its_own(shard: ShardAlone) -> None:
    """False if the read just above the watermark waited: nothing can come between."""
    shard.lock(1, write=[A])
    shard.see(1)
    shard.write(1, A, b"one")
    assert shard.lock(2, read=[A]) == [b"one"]


@pytest.mark.parametrize("kind", ["write", "may"])
def test_r1_a_read_waits_for_a_pending_version(shard: ShardAlone, kind: str) -> None:
    """False if an open write, one that will or one that may be, were skipped: a stale read."""
    shard.lock(1, write=[A])
    shard.lock(2, **{kind: [A]})
    shard.lock(3, read=[A])
    assert shard.see(3) == []
    assert shard.write(1, A, b"one") == []
    assert shard.write(2, A, b"two") == [b"two"]


@pytest.mark.parametrize("kind", ["write", "may"])
def test_w2_readers_fall_through_a_released_version(shard: ShardAlone, kind: str) -> None:
    """False if a release left readers waiting, or showed them something that was not written."""
    shard.lock(1, write=[A])
    shard.lock(2, **{kind: [A]})
    shard.lock(3, read=[A])
    shard.see(3)
    shard.write(1, A, b"one")
    assert shard.write(2, A, None) == [b"one"]


def test_w2_a_release_of_all_makes_a_key_absent_again(shard: ShardAlone) -> None:
    """False if a key of which nothing is left kept a record, or had a value."""
    shard.lock(1, write=[A])
    shard.lock(2, read=[A])
    shard.see(2)
    assert shard.write(1, A, None) == [None]
    assert len(shard.keys.records) == 0


def test_w1_a_write_needs_a_lock(shard: ShardAlone) -> None:
    """False if a write without a lock, or a second one, changed anything, or went by unnoticed."""
    shard.lock(1, write=[A])
    shard.see(1)
    before = shard.keys
    shard.write(1, B, b"no")
    assert shard.keys == before
    shard.write(1, A, b"one")
    before = shard.keys
    shard.write(1, A, b"again")
    shard.write(1, A, None)
    assert shard.keys == before
    assert shard.notes == ["write without a lock"] * 3


def test_a_lazy_read_is_answered_when_it_can_be(shard: ShardAlone) -> None:
    """False if a lazy read were answered unasked, or forgotten while it waits for its value."""
    shard.lock(1, write=[A])
    shard.lock(2, lazy=[A])
    assert shard.see(2) == []
    assert shard.ask(2, A) == []
    assert shard.write(1, A, b"one") == [b"one"]
    assert shard.ask(2, A) == []


def test_a_lazy_read_that_was_let_go_leaves_nothing(shard: ShardAlone) -> None:
    """False if a read that nobody needs any more held up collection for ever."""
    shard.lock(1, lazy=[A])
    shard.see(1)
    shard.ask(1, A, actual=False)
    assert len(shard.keys.records) == 0


def test_q1_a_query_waits_for_its_height(shard: ShardAlone) -> None:
    """False if a query of a height to come were lost, or answered with what is there now."""
    assert shard.query(A, 1) == []
    shard.lock(1, write=[A])
    assert shard.see(1) == []
    assert shard.write(1, A, b"one") == [b"one"]
    assert shard.query(A) == [b"one"]
    assert shard.query(B, 1) == [None]


def test_queries_that_wait_are_bounded(shard: ShardAlone) -> None:
    """False if anybody could fill the shard with queries of heights that never come."""
    for number in range(1024):
        assert shard.query(A, 5 + number) == []
    assert shard.query(A, 5) == ["too many queries wait"]
    shard.lock(1, write=[B])
    shard.see(1)
    for _ in range(1024):
        assert shard.query(B, 1) == []
    assert shard.query(B, 1) == ["too many queries wait"]
    assert shard.write(1, B, b"one") == [b"one"] * 1024


def test_a_height_is_decided_in_order(shard: ShardAlone) -> None:
    """False if a root were sent before the height, and all below it, are decided here."""
    shard.lock(1, write=[A])
    shard.lock(2, write=[A])
    shard.see(1)
    shard.write(2, A, b"two")
    assert shard.roots() == []
    shard.see(2)
    assert shard.roots() == []
    shard.write(1, A, b"one")
    assert shard.roots() == [1, 2]


def test_g1_collection_keeps_what_can_be_asked(shard: ShardAlone) -> None:
    """False if collection changed the answer at a height that is kept, or left one below to be asked."""
    for height in range(1, 6):
        shard.lock(height, write=[A])
        shard.see(height)
        shard.write(height, A, b"%d" % height)
    shard.collect(3)
    assert [shard.query(A, height) for height in (3, 4, 5)] == [[b"3"], [b"4"], [b"5"]]
    assert shard.query(A, 2) == ["below the collection height 3"]
    assert len(shard.keys.records[A].versions) == 3


def test_g1_an_undecided_height_is_not_collected(shard: ShardAlone) -> None:
    """False if a height were collected while a write in it is open."""
    shard.lock(1, write=[A])
    shard.see(1)
    shard.collect(1)
    assert shard.keys.collected == 0


def test_g1_a_pending_read_keeps_its_version(shard: ShardAlone) -> None:
    """False if a version went that a read below the collection height still needs."""
    shard.lock(1, write=[A])
    shard.write(1, A, b"one")
    shard.lock(2, lazy=[A])
    shard.lock(3, write=[A])
    shard.write(3, A, b"three")
    shard.see(3)
    shard.collect(3)
    assert shard.ask(2, A) == [b"one"]
    shard.lock(4)
    shard.see(4)
    shard.collect(4)
    assert shard.keys.records[A].versions == (Version(3, b"three"),)


def test_g1_collection_never_changes_what_a_pending_read_will_see() -> None:
    """False if for some record, collection height and fate of its pending versions a read saw another version."""
    for seed in range(200):
        _collect_before_pending_reads(seed)


def _collect_before_pending_reads(seed: int) -> None:
    chance = random.Random(seed)
    times = sorted(chance.sample(range(1, 20), chance.randint(1, 8)))
    versions = tuple(Version(at, None if chance.random() < 0.4 else b"%d" % at) for at in times)
    readers = tuple(Reader(at, Ref("executor"), True) for at in sorted(chance.sample(range(1, 20), 3)))
    height = chance.randint(1, 20)
    record = Record(versions, readers, (Inquiry(height + 1, height, Ref("asker")),))
    after = collected(record, height)
    fates = {one.timestamp: chance.random() < 0.5 for one in versions if one.datum is None}
    for read in (*readers, *record.inquiries):
        assert seen_version(_decided(after.versions, fates), read.timestamp) == seen_version(
            _decided(versions, fates), read.timestamp
        ), seed
    for at in range(height + 1, 21):
        assert seen_version(_decided(after.versions, fates), at) == seen_version(_decided(versions, fates), at), seed


def _decided(versions: tuple[Version, ...], fates: dict[int, bool]) -> tuple[Version, ...]:
    """The versions once each pending one is written (True) or released."""
    written = [Version(one.timestamp, b"w") if fates.get(one.timestamp) else one for one in versions]
    return tuple(one for one in written if one.datum is not None)


def test_q1_a_height_that_is_locked_is_waited_for(shard: ShardAlone) -> None:
    """False if a client that need not wait for what may never come were refused a height that does come."""
    shard.query(A, 1, waits=False)
    assert shard.sent == [QueryRefused(A, 1, "not yet: height 1 is to come; the newest is 0")]
    shard.lock(1, write=[A])
    shard.query(A, 1, waits=False)
    assert shard.sent == []
    shard.see(1)
    shard.write(1, A, b"x")
    assert QueryAnswer(A, 1, b"x") in shard.sent


def test_the_tree_of_an_older_version_is_made_again(shard: ShardAlone) -> None:
    """False if a shard that takes over the records of the version with a binary tree had other roots than one that
    wrote them itself."""
    for height, key in enumerate((A, B, A), start=1):
        shard.lock(height, write=[key])
        shard.see(height)
        shard.write(height, key, b"%d" % height)
    shard.lock(4, write=[B])
    shard.see(4)
    old = msgspec.msgpack.decode(encode(shard.keys))
    del old["blocks"]
    assert migrate({**old, "tree": [[1, b"binary"]]}) == shard.keys
