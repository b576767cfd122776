"""Runs a whole node in one process, for a debugger: `enginehost up --inline`.

No fork, no lanes, no deadlines, no restarts: a breakpoint may hold the program for any time, and an error of the host
itself stops the program where it happens. The scheduler is that of every worker, so rules, order and dead letters are
the same; drivers of devices run beside it in one event loop. Notes go to standard output, dead letters and waiting
choices to standard error. A line on standard input, `ENGINE CHOICE`, answers a choice. Ctrl-C ends the node.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from secrets import randbelow
from typing import Any, Final

import msgspec

from engines.model import Device
from host.config.scalars import for_json
from host.config.spec import EngineSpec, NodeSpec
from host.live.clock import engine_clock, offset_now
from host.live.worker.device_host import DriverHost
from host.live.worker.loading import loader
from host.node.births import Births
from host.node.cell import Cell, new_cell
from host.node.cycle import cycle
from host.node.outbox import Outbox
from host.node.progress import Unseen
from host.node.report import Report
from host.node.scheduler import Scheduler

LINE_BYTES_MAX: Final = 4_096
"""The most read from standard input at once."""

SHOWN_MAX: Final = 20
"""Engines named at the start."""

_encode = msgspec.json.Encoder().encode


class InlineRun:
    """A node that runs in this process. Tests with devices and real time use it too."""

    def __init__(self, spec: NodeSpec) -> None:
        """Import every family. Raises `LoadError` for one that cannot be imported."""
        self.clock = engine_clock(offset_now())
        self._load = loader(spec.roots, check=True)
        for engine in spec.engines:
            self._load(engine.family)
        self._spec = spec
        self._births = Births(spec.node, self._load, are_here=True)
        self._report = Report()
        self._outbox = Outbox(1, 1)
        self.scheduler = Scheduler(self.clock, randbelow, Unseen(), self._report, self._outbox)
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._is_due = False
        self._timer: asyncio.TimerHandle | None = None
        self._failed: asyncio.Future[None] | None = None

    async def run(self) -> None:
        """Run until cancelled, or until an error of the host. Raises `BirthRefusedError`, and that error."""
        self._failed = asyncio.get_running_loop().create_future()
        for spec in self._spec.engines:
            self._bear(spec)
        self.soon()
        try:
            await self._failed
        finally:
            for task in self._tasks.values():
                task.cancel()

    def soon(self) -> None:
        """Run a cycle once the caller has yielded."""
        if not self._is_due:
            self._is_due = True
            asyncio.get_running_loop().call_soon(self._turn)

    def answer(self, engine: str, choice: str) -> str:
        """Answer an engine that waits for a choice; "" if the answer was taken, else why not."""
        error = self.scheduler.answer(engine, choice)
        self.soon()
        return error

    def _bear(self, spec: EngineSpec) -> None:
        family = self._load(spec.family)
        if not isinstance(family, Device):
            self._births.bear(self.scheduler, spec, None, 1)
            return
        configuration, _ = self._births.configure(family, spec, None, 1)
        self.scheduler.settle(new_cell(family, configuration, None, spec.mailboxes), self._prepare)

    def _prepare(self, cell: Cell) -> None:
        host = DriverHost(self.scheduler, cell, self.soon)
        self._tasks[cell.name] = asyncio.get_running_loop().create_task(self._drive(cell, host))

    async def _drive(self, cell: Cell, host: DriverHost) -> None:
        try:
            await cell.family.driver().run(host)
        except Exception as error:
            self._fail(error)
            return
        self.scheduler.end(cell)
        self.soon()

    def _turn(self) -> None:
        self._is_due = False
        try:
            self._cycle()
            self._show()
        except Exception as error:
            self._fail(error)
            return
        if not self.scheduler.is_idle:
            self.soon()
        self._set_timer()

    def _cycle(self) -> None:
        """One cycle. There is no log, no lane, and no other process to inform before the outputs leave."""
        for duty in cycle(self.scheduler, self._births, ()):
            if duty == "show":
                self._answer_lookups()

    def _answer_lookups(self) -> None:
        asked, self._report.resolve = self._report.resolve, []
        for name in asked:
            if name in self.scheduler.cells:
                self._outbox.route(name, self._outbox.slot)
            else:
                self._outbox.route(name, None, "ended" if name in self.scheduler.ended else "unknown")

    def _fail(self, error: Exception) -> None:
        assert self._failed is not None
        if not self._failed.done():
            self._failed.set_exception(error)

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        wakes_ns = self.scheduler.wakes_ns
        if wakes_ns is not None:
            wait_s = max(0, wakes_ns - self.clock()) / 1e9
            self._timer = asyncio.get_running_loop().call_later(wait_s, self.soon)

    def _show(self) -> None:
        report = self._report
        report.spawned.clear()
        report.stopped.clear()
        for note in report.take_notes()[0]:
            _print({"engine": note.engine, "time": note.now_ns, "text": note.text, "fields": note.fields})
        for one in report.waits:
            _print({"waits": one.engine, "options": one.options}, sys.stderr)
        report.waits.clear()
        while report.events:
            _print(msgspec.structs.asdict(report.events.popleft()), sys.stderr)
        if report.has_letters:
            for letter in report.take_letters()[1]:
                _print({"dead_letter": letter.reason, **msgspec.structs.asdict(letter)}, sys.stderr)


def run(spec: NodeSpec) -> None:
    """Run a node in this process until Ctrl-C. Raises what a driver or the host itself raises."""
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_run(_greeted(InlineRun(spec), spec)))


def _greeted(inline: InlineRun, spec: NodeSpec) -> InlineRun:
    engines = ", ".join(engine.name for engine in spec.engines[:SHOWN_MAX])
    more = f" and {len(spec.engines) - SHOWN_MAX} more" if len(spec.engines) > SHOWN_MAX else ""
    print(f"node {spec.node} runs in this process (pid {os.getpid()}): {engines}{more}", file=sys.stderr)
    print("no command reaches it; a line ENGINE CHOICE answers a choice, Ctrl-C ends it", file=sys.stderr, flush=True)
    return inline


async def _run(inline: InlineRun) -> None:
    loop = asyncio.get_running_loop()
    reading = _can_read(loop, inline)
    try:
        await inline.run()
    finally:
        if reading:
            loop.remove_reader(sys.stdin)


def _can_read(loop: asyncio.AbstractEventLoop, inline: InlineRun) -> bool:
    """Read choices from standard input, if an event loop can wait for it; whether it can."""

    def read() -> None:
        line = sys.stdin.readline(LINE_BYTES_MAX)
        if not line:
            loop.remove_reader(sys.stdin)
            return
        engine, _, choice = line.strip().partition(" ")
        error = inline.answer(engine, choice.strip()) if engine else ""
        if error:
            _print({"error": error}, sys.stderr)

    try:
        loop.add_reader(sys.stdin, read)
    except (OSError, ValueError, NotImplementedError):
        return False
    return True


def _print(item: dict[str, Any], stream: Any = None) -> None:
    print(_encode(for_json(item)).decode(), file=stream or sys.stdout, flush=True)
