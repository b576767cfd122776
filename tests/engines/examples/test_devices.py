"""The devices: the driver and its twin give the same answers to the same mail."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from device_desk import driven, twinned

from engines.devices import log, wall_clock
from engines.devices.log import Line, Lines, LogFile, ReadLines, WriteLine, Written
from engines.devices.wall_clock import ClockReading, ReadClock
from engines.model import Ref

Answers = Callable[..., list[Any]]


@pytest.mark.parametrize("answers", [driven, twinned])
def test_the_log_reads_back_what_was_written(answers: Answers, tmp_path: Path) -> None:
    """If false, a line is lost, or the twin answers otherwise than the device."""
    me: Ref[Any] = Ref("ann")
    writes = [WriteLine(f"line {n}", me if n == 2 else None) for n in range(3)]
    sent = answers(log.LOG, LogFile(str(tmp_path / "log")), *writes, ReadLines(me, 2), ReadLines(me, 0))
    assert sent == [
        Written("line 2"),
        Lines((Line(1_000, "ann", "line 1"), Line(1_000, "ann", "line 2"))),
        Lines(()),
    ]


def test_the_log_carries_on_in_a_file_that_is_there(tmp_path: Path) -> None:
    """If false, a restart loses the lines written before it."""
    config = LogFile(str(tmp_path / "log"))
    driven(log.LOG, config, WriteLine("before"))
    [lines] = driven(log.LOG, config, WriteLine("after"), ReadLines(Ref("ann")))
    assert [line.text for line in lines.lines] == ["before", "after"]


def test_a_log_that_cannot_be_written_is_a_crash(tmp_path: Path) -> None:
    """If false, lines vanish in silence."""
    (tmp_path / "file").touch()
    with pytest.raises(FileExistsError):
        driven(log.LOG, LogFile(str(tmp_path / "file" / "log")), WriteLine("lost"))


@pytest.mark.parametrize("answers", [driven, twinned])
def test_the_clock_answers_each_question(answers: Answers) -> None:
    """If false, a question is not answered, or answered with something else than a time."""
    first, second = answers(wall_clock.CLOCK, None, ReadClock(Ref("ann")), ReadClock(Ref("ann")))
    assert isinstance(first, ClockReading)
    assert isinstance(second, ClockReading)
    assert first.wall_ns > 0
