"""Laws of the pure parts: marks, numbers, batches, outputs' checksums, retention."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.model import Outgoing, Stopped
from host.node.journal.batch import LogBatch
from host.node.journal.checksum import CRC32, PURE
from host.node.journal.digest import Digest
from host.node.journal.layout import NO_CHAIN, SegmentHead, encode_segment, packer, seal
from host.node.journal.marks import next_epoch, take
from host.node.journal.numbering import WAYS_MAX, Numbers
from host.node.journal.records import TURN, Acked, RecordKind, decode_body, decode_run
from host.node.journal.retention import SNAPSHOTS_KEPT, Segment, plan
from host.node.journal.scan import Scan, SegmentData
from host.node.journaled.keeping import EngineRecorder
from transport.crc32c import crc32c

if TYPE_CHECKING:
    from host.node.cell import Cell

SUM = PURE[CRC32]
NAMES = st.text("abc/é#", min_size=1, max_size=4)


@given(st.lists(st.tuples(st.integers(1, 3), st.integers(1, 30), st.integers(1, 9)), max_size=30))
def test_a_receiver_takes_each_number_of_an_epoch_once(mail: list[tuple[int, int, int]]) -> None:
    """Against a set of what was taken; false if a repeat were taken, or anything new of a known epoch left out."""
    mark: tuple[int, int] | None = None
    taken: set[tuple[int, int]] = set()
    for epoch, first_n, count in mail:
        before = mark
        found = take(mark, epoch, first_n, count)
        mark = found.mark
        new = {(epoch, n) for n in range(first_n + found.skip, first_n + count)}
        assert not new & taken
        left_out = {(epoch, n) for n in range(first_n, first_n + found.skip)}
        assert all(before is not None and (epoch, n) < before for epoch, n in left_out)
        if found.verdict == "gap":
            assert before is not None
            assert found.missing == first_n - before[1]
        taken |= new
        assert before is None or mark >= before


@pytest.mark.storm
@given(st.lists(st.integers(1, 7), min_size=1, max_size=8), st.data())
def test_sending_again_after_any_death_is_harmless(frames: list[int], data: st.DataObject) -> None:
    """Numbers 1, 2, 3 …, each frame sent any number of times, in an order that never skips: each is taken once."""
    starts = [1 + sum(frames[:index]) for index in range(len(frames))]
    mark, taken, at = None, [], 0
    for _ in range(60):
        at = data.draw(st.integers(0, min(at + 1, len(frames) - 1)))
        found = take(mark, 1, starts[at], frames[at])
        if found.verdict == "gap" or (mark is None and at > 0):
            at = 0
            continue
        mark = found.mark
        taken += list(range(starts[at] + found.skip, starts[at] + frames[at]))
    assert taken == list(range(1, len(taken) + 1))


@given(st.booleans(), st.booleans(), st.booleans())
def test_the_epoch_rule(same_boot: bool, was_closed: bool, is_lost: bool) -> None:
    """Volatile: at each restart. Crash: after an unclean boot. Durable: never. All: after a change by hand."""
    was = {"same_boot": same_boot, "was_closed": was_closed, "is_lost": is_lost}
    assert next_epoch("volatile", 4, **was) == 5
    assert next_epoch("durable", 4, **was) == (5 if is_lost else 4)
    if not is_lost and (same_boot or was_closed):
        assert next_epoch("crash", 4, **was) == 4
    if not same_boot and not was_closed:
        assert next_epoch("crash", 4, **was) == 5


@given(st.lists(st.tuples(NAMES, st.integers(0, 2)), max_size=60), st.integers(0, 60))
def test_numbers_go_on_from_any_image(outputs: list[tuple[str, int]], cut: int) -> None:
    """False if a replay from a snapshot numbered outputs otherwise than the life it repeats."""
    whole, first = Numbers(), Numbers()
    numbers = [whole.number(*way) for way in outputs]
    half = [first.number(*way) for way in outputs[:cut]]
    second = Numbers(first.ways(), first.from_n)
    assert half + [second.number(*way) for way in outputs[cut:]] == numbers


def test_a_stream_that_is_opened_again_is_no_repeat() -> None:
    """False if one of more streams than are remembered began at a number it has had."""
    numbers = Numbers()
    assert [numbers.number("first", 0) for _ in range(3)] == [1, 2, 3]
    for each in range(WAYS_MAX):
        numbers.number(f"other {each}", 0)
    assert numbers.number("first", 0) == 4


@given(st.binary(max_size=50), st.binary(max_size=50))
def test_checksums_can_be_continued(first: bytes, second: bytes) -> None:
    """False if a record summed in pieces had another checksum than as a whole."""
    for checksum in PURE.values():
        assert checksum(second, checksum(first, 0)) == checksum(first + second, 0)
    assert crc32c(b"123456789", 0) == 0xE3069283
    assert PURE[CRC32](b"123456789", 0) == zlib.crc32(b"123456789")


TURNS = st.tuples(NAMES, st.integers(1, 5), st.integers(1, 3), st.integers(0, 2**63), st.integers(0, 2**32 - 1))


@given(st.lists(st.lists(TURNS, max_size=12), max_size=5), st.booleans())
def test_a_log_reads_as_it_was_written(batches: list[list[tuple[str, int, int, int, int]]], chained: bool) -> None:
    """Turns, in whatever runs they were gathered, come back in their order with engine, cause and outcome."""
    batch = LogBatch(packer(SUM))
    head = SegmentHead(CRC32, 1, 0, 0, 5, bytes(16), bytes(16), NO_CHAIN)
    data, chain = encode_segment(head, SUM), NO_CHAIN
    wrote = []
    for turns in batches:
        for sender, n, mailbox, now_ns, outputs in turns:
            batch.turn("engine", sender, mailbox, 1, n, "code", now_ns, outputs, 1)
            wrote.append((sender, mailbox, n, now_ns, outputs))
        batch.record("engine", Acked("target", 0, 3))
        records, count = batch.take()
        sealed = seal(records, count, len(data), 0, chain if chained else None, SUM)
        chain = sealed[32:48]
        data += sealed
    scan = Scan([SegmentData("one", 1, memoryview(data))], PURE, None, 0)
    names: dict[int, str] = {}
    read = []
    for found in scan.batches():
        for kind, number, body in found.records:
            if kind == RecordKind.NAME:
                names[number] = str(body, "utf-8")
            elif kind == RecordKind.TURNS:
                assert names[number] == "engine"
                run, entries = decode_run(body, names)
                for at, (now_ns, outputs, _, _) in enumerate(TURN.iter_unpack(entries)):
                    read.append((run.sender, run.mailbox, run.first_n + at, now_ns, outputs))
            else:
                assert decode_body(kind, body) == Acked("target", 0, 3)
    assert read == wrote
    assert scan.end == len(data)
    assert scan.cut is None


@given(st.lists(st.integers(1, 40), max_size=6), st.lists(st.integers(0, 2**16), max_size=6), st.booleans())
def test_a_log_read_while_it_grows_reads_as_a_whole(sizes: list[int], looks: list[int], chained: bool) -> None:
    """False if a reader behind a writer missed a batch, met one twice, or took what is half written for damage."""
    batch, data, chain, base = LogBatch(packer(SUM)), b"", NO_CHAIN, 0
    files: list[bytes] = []
    for number, size in enumerate(sizes, 1):
        head = SegmentHead(CRC32, number, base, 0, 5, bytes(16), bytes(16), chain)
        data = encode_segment(head, SUM)
        for n in range(size % 5):
            batch.record("engine", Acked("t" * size, 0, n))
            records, count = batch.take()
            sealed = seal(records, count, base + len(data), 0, chain if chained else None, SUM)
            chain = sealed[32:48] if chained else chain
            data += sealed
        files.append(data)
        base += len(data)
        batch.begin_segment()
    if not files:
        return

    def seen(until: int) -> list[SegmentData]:
        segments, left = [], max(until, len(files[0]))
        for number, file in enumerate(files, 1):
            segments.append(SegmentData(str(number), number, memoryview(file[:left])))
            left -= len(file)
            if left <= 0:
                break
        return segments

    scan = Scan(seen(0), PURE, bytes(16), 0)
    found = [one.head.position for one in scan.batches()]
    for until in [*sorted(look % (base + 1) for look in looks), base]:
        assert scan.last is not None
        found += [one.head.position for one in scan.more(seen(until)[scan.last.number - 1 :])]
    whole = Scan(seen(base), PURE, bytes(16), 0)
    assert found == [one.head.position for one in whole.batches()]
    assert (scan.end, scan.chain, scan.cut) == (base, whole.chain, None)


def test_the_checksum_of_outputs_sees_each_part() -> None:
    """False if two different sets of outputs were the same to a replay."""
    digest = Digest(SUM)
    variants = [
        (),
        (Outgoing("a", 0, 1),),
        (Outgoing("b", 0, 1),),
        (Outgoing("a", 1, 1),),
        (Outgoing("a", 0, 2),),
        (Outgoing("a", 0, 1), Outgoing("b", 0, 1)),
        (Outgoing("b", 0, 1), Outgoing("a", 0, 1)),
        (Outgoing("a", 0, 1), Stopped()),
        (Stopped(),),
    ]
    recorder = EngineRecorder(cast("Cell", None), "crash", 1)
    assert len({recorder.number(outputs, digest)[0] for outputs in variants}) == len(variants)


@given(
    st.lists(st.integers(100, 900), min_size=1, max_size=20),
    st.lists(st.integers(0, 20), max_size=8),
    st.integers(0, 20),
    st.integers(0, 5000),
)
def test_retention_keeps_what_a_recovery_needs(sizes: list[int], at: list[int], archived: int, bytes_max: int) -> None:
    """Both last snapshots keep every segment behind the older one; history keeps its bound."""
    bases = [sum(sizes[:index]) for index in range(len(sizes) + 1)]
    segments = [Segment(number, bases[number], bases[number + 1], 0) for number in range(len(sizes))]
    snapshots = sorted({bases[min(one, len(sizes) - 1)] for one in at})
    needed = snapshots[-SNAPSHOTS_KEPT] if len(snapshots) >= SNAPSHOTS_KEPT else 0
    old = [segment for segment in segments[:archived] if segment.end <= needed]
    live = segments[len(old) :]
    todo = plan(live, old, snapshots, 0, bytes_max)
    gone = {*todo.archive, *todo.remove}
    assert all(segment.end <= needed for segment in segments if segment.number in gone)
    assert not {*todo.forget} & {*snapshots[-SNAPSHOTS_KEPT:]}
    left = [*old, *(one for one in live if one.number in todo.archive)]
    assert sum(one.end - one.base for one in left if one.number not in todo.remove) <= bytes_max
