"""The candidate's end of a tail of triggers, over a file that grows."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from engines.benchmark.oneway import SINK, Record
from engines.model import Configuration, birth, encode
from host.live.packets import sized
from host.live.worker.tail_reading import LEVEL_TURNS, TailReader
from host.node.rehearsal import RehearsalEnd
from host.node.trigger_tail import TailBegin, TailMail, encode_tail

LONG_NS = 60_000_000_000


class File:
    """A tail of one engine, which grows by `more` messages whenever its candidate begins a part."""

    def __init__(self) -> None:
        self.more = 0
        self.seen = 0
        self.descriptor = os.memfd_create("tail")
        me = Configuration[None]("test", "e", None, None)
        begin = RehearsalEnd(0, SINK, me, birth(SINK, me, now_ns=0), 1 << 20)
        self.reader = TailReader(os.dup(self.descriptor), {"e": begin}, self.stand_at)
        self.write(sized(encode_tail([TailBegin("e", 0)])))

    def write(self, data: bytes) -> None:
        os.write(self.descriptor, data)

    def part(self, count: int) -> bytes:
        payloads = [encode(Record(b"key", n, "here")) for n in range(count)]
        return sized(encode_tail([TailMail("e", 1, "p", 0, payloads)]))

    def stand_at(self, engine: str) -> None:
        if engine and self.more:
            self.write(self.part(self.more))
            self.more += 1

    @property
    def size(self) -> int:
        return os.fstat(self.descriptor).st_size


@pytest.fixture
def file() -> Iterator[File]:
    made = File()
    yield made
    os.close(made.descriptor)


def test_a_part_that_is_being_written_is_read_once_it_is_whole(file: File) -> None:
    """False if a reader took half a part, or one twice."""
    whole = file.part(3)
    assert file.reader.come_level(LONG_NS)
    for end in (5, len(whole) - 1, len(whole)):
        file.write(whole[file.seen : end])
        file.seen = end
        assert file.reader.catch_up() == (3 if end == len(whole) else 0)
    assert file.reader.catch_up() == 0


@pytest.mark.parametrize("is_cut", [False, True])
def test_at_the_end_all_of_it_was_run_or_nothing_is_followed(file: File, is_cut: bool) -> None:
    """False if an engine went on that lacks a trigger."""
    assert file.reader.come_level(LONG_NS)
    file.write(file.part(2))
    end = 0 if is_cut else file.size
    assert set(file.reader.end(end)) == (set() if is_cut else {"e"})


def test_who_falls_behind_gives_up(file: File) -> None:
    """False if a candidate that never comes level kept its reload waiting."""
    file.more = LEVEL_TURNS + 1
    file.write(file.part(file.more))
    assert not file.reader.come_level(LONG_NS)
    assert file.reader.end(file.size) == {}
