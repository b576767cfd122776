"""The devices: the driver and its twin give the same answers to the same mail."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from deadline import DEADLINE_S
from example_world import World

from engines.devices import log, wall_clock
from engines.devices.log import Line, Lines, LogFile, ReadLines, WriteLine, Written
from engines.devices.wall_clock import ClockReading, ReadClock
from engines.model import Configuration, Delivery, Device, Message, Ref


class Desk:
    """A device's host: hands out mail, keeps what is sent; every second send finds the way full first."""

    def __init__(self, config: Any, mail: list[Delivery[Any]]) -> None:
        self.me = Configuration("test", "device", None, config)
        self.config = config
        self.mail = list(mail)
        self.sent: list[Any] = []
        self.done = asyncio.Event()
        self._is_full = False

    def now_ns(self) -> int:
        return 1_000

    async def receive(self) -> Delivery[Any]:
        if not self.mail:
            self.done.set()
            await asyncio.Event().wait()
        return self.mail.pop(0)

    def send(self, target: Ref[Any], message: Any) -> bool:
        self._is_full = not self._is_full
        if not self._is_full:
            self.sent.append(message)
        return not self._is_full

    async def writable(self, target: Ref[Any]) -> None:
        await asyncio.sleep(0)

    async def send_when_writable(self, target: Ref[Any], message: Any) -> None:
        while not self.send(target, message):
            await self.writable(target)


def driven(device: Device[Any, Any, Any], config: Any, *messages: Message) -> list[Any]:
    """What the driver sends for these messages, which all come from `ann`."""

    async def run() -> list[Any]:
        desk = Desk(config, [Delivery("ann", 0, message) for message in messages])
        task = asyncio.create_task(device.driver().run(desk))
        done = asyncio.create_task(desk.done.wait())
        await asyncio.wait([task, done], timeout=DEADLINE_S, return_when=asyncio.FIRST_COMPLETED)
        task.cancel()
        done.cancel()
        await asyncio.wait([task, done])
        if not task.cancelled() and (error := task.exception()):
            raise error
        return desk.sent

    return asyncio.run(run())


def twinned(device: Device[Any, Any, Any], config: Any, *messages: Message) -> list[Any]:
    """What the twin sends for these messages."""
    assert device.twin is not None
    world = World(outside=["ann"])
    world.now_ns = 1_000
    world.add("device", device.twin, config)
    for message in messages:
        world.send("device", message, sender="ann")
    world.run()
    return world.outside["ann"]


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
