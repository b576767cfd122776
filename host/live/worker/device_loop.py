"""A worker for devices: engines with drivers instead of rules, on an event loop, because they do I/O.

The cycle is that of any worker; only its caller differs. Here the event loop calls it when a doorbell rings, when a
driver that sent something yields, or at a deadline. Between two cycles the receiver is armed: an idle device costs
nothing. Drivers are tasks; one that returns ends its engine, one that raises is reported as failed, and the supervisor
decides about the process.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from engines.model import Device
from engines.model.blame import blame
from host.live import wire
from host.live.worker.desk import Leave
from host.live.worker.device_host import DriverHost
from host.live.worker.loading import DETAIL_CHARS_MAX, failure
from host.live.worker.loop import Worker, settle_memory
from host.live.worker.parts import Outset
from host.node.births import BirthRefusedError
from host.node.cell import Cell, new_cell
from host.node.news import Event
from host.node.routing import Birth
from transport.port import Closed

NEXT_LOOK_S: Final = 0.002
"""Until the next try while packets wait for room in the supervisor's socket."""


class DriverFailed(Exception):
    """The only driver of the process raised; the text has its name and traceback."""


class DriverExit(Exception):
    """Code of a driver called sys.exit, or raised KeyboardInterrupt."""


class DeviceWorker(Worker):
    """The devices of a slot. Everything runs in the loop's thread."""

    def __init__(self, outset: Outset) -> None:
        super().__init__(outset)
        self._hosts: dict[str, DriverHost] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._is_due = False
        self._timer: asyncio.TimerHandle | None = None
        self._left: asyncio.Future[None] | None = None
        self.outbox.on_news = self._forget_ways

    def bear(self, births: tuple[Birth, ...]) -> None:
        """Start the drivers of engines, or report why not. A device is ready when its driver asks for mail first; one
        that takes no messages, at once."""
        for birth in births:
            try:
                family = self.births.load(birth.spec.family)
                if not isinstance(family, Device):
                    raise BirthRefusedError(f"{family.name} has rules; this process is for devices")
                configuration, _ = self.births.configure(family, birth.spec, birth.parent, birth.birth)
                cell = new_cell(family, configuration, None, birth.spec.mailboxes)
                if self.scheduler.settle(cell, self.prepare) and not family.accepts_types:
                    self.telling.ready([(cell.name, family)])
            except BaseException as error:
                self.channel.send(failure(birth.spec.name, error))

    def prepare(self, cell: Cell) -> None:
        """Give a cell a driver, before it gets any mail."""
        family = cell.family
        on_ready = partial(self._guarded, partial(self.telling.ready, [(cell.name, family)]))
        host = DriverHost(self.scheduler, cell, self.soon, self.link.flush, on_ready)
        driver = family.driver()
        self._hosts[cell.name] = host
        self._tasks[cell.name] = asyncio.get_running_loop().create_task(self._drive(cell, driver.run(host)))

    def soon(self) -> None:
        """Run a cycle once the caller has yielded."""
        if not self._is_due:
            self._is_due = True
            asyncio.get_running_loop().call_soon(self._pump)

    async def live(self) -> None:
        """Run until the supervisor asks to exit, or is gone."""
        loop = asyncio.get_running_loop()
        self._left = loop.create_future()
        loop.add_reader(self.channel.fileno(), self._guarded, self._hear)
        loop.add_reader(self.link.fileno(), self._guarded, self._rung)
        self.soon()
        try:
            await self._left
        finally:
            loop.remove_reader(self.link.fileno())
            loop.remove_reader(self.channel.fileno())
            for task in self._tasks.values():
                task.cancel()
            self.link.close()

    async def _drive(self, cell: Cell, driver: Any) -> None:
        failed: BaseException | None = None
        try:
            await driver
        except BaseException as error:
            if self._is_leaving:
                raise
            failed = error
        else:
            self.scheduler.report.stopped.append(cell.name)
        del self._hosts[cell.name], self._tasks[cell.name]
        if not cell.is_ended:
            self.scheduler.end(cell)
        if failed is not None:
            self._driver_failed(cell, blame(failed)[1][-DETAIL_CHARS_MAX:])
        self.soon()

    @property
    def _is_leaving(self) -> bool:
        return self._left is not None and self._left.done()

    def _driver_failed(self, cell: Cell, detail: str) -> None:
        """Report it. If the process has no other driver it exits, and its restart policy applies."""
        if self._tasks:
            self.channel.send(wire.EngineFailed(cell.name, "driver", detail))
            return
        self.channel.send(Event("failed", cell.name, {"reason": "driver", "detail": detail}))
        if self._left is not None and not self._left.done():
            self.turn([])
            self.telling.everything(self.clock())
            self.channel.make_room(0)
            self._left.set_exception(DriverFailed(f"{cell.name}: {detail}"))

    def _pump(self) -> None:
        self._is_due = False
        self._guarded(self._turn)

    def _turn(self) -> None:
        """A cycle, and then either the next one or the doorbell."""
        for host in self._hosts.values():
            host.settle()
        is_busy = self.cycle()
        self.telling.everything(self.clock())
        if is_busy or not self.link.arm():
            self.soon()
        self._set_timer()

    def _rung(self) -> None:
        self.link.hush()
        self.soon()

    def _hear(self) -> None:
        self.desk.hear()
        self.soon()

    def _guarded(self, act: Callable[[], None]) -> None:
        """Call `act`. A reason to exit ends the worker, a bug of ours the process."""
        if self._left is None or self._left.done():
            return
        try:
            act()
        except (Leave, Closed):
            self._left.set_result(None)
        except Exception as error:
            self._left.set_exception(error)

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        wakes_ns = self.scheduler.wakes_ns
        loop = asyncio.get_running_loop()
        if self.channel.waiting:
            self._timer = loop.call_later(NEXT_LOOK_S, self._guarded, self._hear)
        elif wakes_ns is not None:
            self._timer = loop.call_later(max(0, wakes_ns - self.clock()) / 1e9, self.soon)

    def _forget_ways(self) -> None:
        for host in self._hosts.values():
            host.forget_ways()


def run_devices(outset: Outset, begin: Callable[[DeviceWorker], None]) -> None:
    """The life of a worker for devices, which gets its engines from `begin`."""
    import uvloop

    async def live() -> None:
        worker = DeviceWorker(outset)
        begin(worker)
        await worker.live()

    settle_memory()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.get_loop().set_task_factory(_contained)
        try:
            runner.run(live())
        except SystemExit as error:  # of a driver's callback, which no task contains: no orderly end
            raise DriverExit(blame(error)[0]) from error


def _contained(loop: asyncio.AbstractEventLoop, work: Any, **rest: Any) -> asyncio.Task[Any]:
    """A task in which an exit is an exception: an exit from a driver's task would end the loop, past the driver."""

    async def contain() -> Any:
        try:
            return await work
        except (SystemExit, KeyboardInterrupt) as error:
            raise DriverExit(blame(error)[0]) from error

    return asyncio.Task(contain(), loop=loop, **rest)
