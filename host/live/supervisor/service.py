"""Runs a node from its first process to its last.

Start: a child that exits afterwards checks the families (`inspection`), which workers skip, and reports their
interfaces; then all workers are born at once. The node is ready when every engine has reported ready. If one cannot
start, the whole node exits, with the reasons.

End: the first signal, `down`, or the end of the command it is attached to drains with a deadline; a second signal kills
(`shutdown`). The folder is removed last: "nothing listens" means that nothing is left. If this process dies instead,
every other process dies with it: each worker and the zygote depend on our life twice, by a signal of the kernel and by
the end of file on their sockets.
"""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys
from collections.abc import Awaitable
from typing import TYPE_CHECKING, Any, Final, TypeVar

import uvloop

from host.config.placement import NoSlot, lay_out
from host.config.spec import NodeSpec
from host.live import clock
from host.live.control.protocol import EXIT_CODES, Response
from host.live.lifeline import become_subreaper
from host.live.spawn.zygote_start import SIGNALS
from host.live.supervisor import perform, population
from host.live.supervisor.circles import Untangling
from host.live.supervisor.control_group_home import find_home
from host.live.supervisor.control_groups import ControlGroups
from host.live.supervisor.desk import PacketDesk
from host.live.supervisor.ended_logs import EndedLogs
from host.live.supervisor.kept_letters import KeptLetters
from host.live.supervisor.memory import SlotTransport
from host.live.supervisor.memory_kills import MemoryKills
from host.live.supervisor.node import SLOT_SUPERVISOR, Node
from host.live.supervisor.nursery import Nursery
from host.live.supervisor.printed import OUTPUT, Printed
from host.live.supervisor.processes import Reaper
from host.live.supervisor.quarantine import Quarantine
from host.live.supervisor.records import Record
from host.live.supervisor.runtime_dir import RuntimeDir
from host.live.supervisor.serving.overview import node_item
from host.live.supervisor.serving.sessions import Sessions
from host.live.supervisor.shutdown import shut_down
from host.live.supervisor.slots import Group
from host.live.supervisor.start_progress import StartProgress, instance_of, notify_system
from host.live.supervisor.watching import Watching
from host.node.journal.marks import epoch_before
from host.node.news import Letter
from host.node.routing import Missing
from host.node.supervision import Budget
from transport.native import NativeMissing
from transport.port import Frame

if TYPE_CHECKING:
    from host.live.inspection.inspect import Inspection
    from host.live.supervisor.inspection import Inspector
    from host.live.supervisor.serving.server import ControlServer

DRAIN_NS: Final = 5_000_000_000
"""How long engines may drain their mailboxes after a signal."""

T = TypeVar("T")

TEND_S: Final = 1.0
"""Interval at which orphans are reaped and the runtime folder is checked."""

MORE_FAULTS_S: Final = 2.0
"""A start that fails waits so long for the reasons of others: one engine may wait for something as long as it likes."""

PRINTED_S: Final = 0.25
"""Interval at which printed output is copied to the log."""


def serve(
    spec: NodeSpec, data: str, runtime: RuntimeDir, nursery: Nursery, progress: StartProgress, *, is_attached: bool
) -> int:
    """Run a node in this process; the exit code."""
    become_subreaper()
    return uvloop.run(_Service(spec, data, runtime, nursery, progress).run(is_attached))


class _Service:
    """One node, from `run` to its return."""

    def __init__(
        self, spec: NodeSpec, data: str, runtime: RuntimeDir, nursery: Nursery, progress: StartProgress
    ) -> None:
        self._spec = spec
        self._data = data
        self._runtime = runtime
        self._nursery = nursery
        self._progress = progress
        self._stop = asyncio.Event()
        self._kill = asyncio.Event()
        self._drain_ns = DRAIN_NS
        self._faults: list[dict[str, str]] = []
        self._failed = asyncio.Event()
        self._control: ControlServer | None = None
        self._looking: Inspector | None = None

    async def run(self, is_attached: bool) -> int:
        self._take_signals()
        if is_attached:
            self._watch_command()
        try:
            self._node = node = self._make_node()
        except NativeMissing as error:
            return self._fail("failed", str(error))
        desk = PacketDesk(node, self._is_device)
        node.on_packet, node.on_end = desk.take, desk.ended
        self._kept_letters = KeptLetters(self._data, node.letters)
        self._printed = Printed(os.path.join(self._data, OUTPUT), node.logs, node.now_ns, self._is_engine)
        asyncio.get_running_loop().set_exception_handler(self._take_mistake)
        watching = Watching(node, self._spec.supervision, node.memory_kills)
        works = (self._tend(), watching.run(), Untangling(node).run(), self._read_output())
        tasks = [asyncio.create_task(work) for work in works]
        try:
            return await self._live()
        finally:
            for task in tasks:
                task.cancel()
            notify_system("STOPPING=1")
            await shut_down(self._node, self._drain_ns, self._kill)
            self._kept_letters.keep()
            if self._control is not None:
                self._control.close()

    async def _live(self) -> int:
        """Start the node, wait for the order to stop, return the exit code."""
        failed = await self._start()
        if failed is not None or self._stop.is_set():
            self._drain_ns = 0
            return EXIT_CODES["ok"] if failed is None else failed
        self._nursery.look_at_sources()
        self._node.phase = "running"
        self._node.event("up", "", pid=os.getpid())
        self._progress.tell(Response("node", [node_item(self._node) | {"degraded": self._degraded()}]))
        notify_system("READY=1")
        gc.freeze()
        gc.enable()
        asyncio.get_running_loop().call_later(TEND_S / 2, _import_late)
        await self._stop.wait()
        return EXIT_CODES["failed" if self._is_deleted else "ok"]

    async def _start(self) -> int | None:
        """Inspect the families, place engines, start all workers, wait for each. An exit code if that failed."""
        engines = self._spec.engines
        try:
            lay_out(engines, frozenset())
            looking = asyncio.ensure_future(self._inspector().look_at_node(self._spec))
            await asyncio.sleep(0)  # the child is on its way
            self._open_control()
            look = await self._or_stop(looking)
            if look is not None:
                self._take_look(look)
            if look is not None and not self._faults:
                devices = frozenset(e.name for e in engines if look.is_device(e.family))
                population.populate(self._node, lay_out(engines, devices))
                perform.start_all(self._node)
        except (NoSlot, population.TooBig) as error:
            return self._fail("configuration", str(error))
        if not self._faults:
            await self._or_stop(self._settle())
        return self._fail_start() if self._faults else None

    async def _settle(self) -> None:
        """Until each engine is ready or has failed; after a first failure, others have `MORE_FAULTS_S`."""
        tasks = [asyncio.ensure_future(event.wait()) for event in (self._node.settled, self._failed)]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            await asyncio.wait(tasks[:1], timeout=MORE_FAULTS_S)
        finally:
            for task in tasks:
                task.cancel()

    def _degraded(self) -> list[dict[str, str]]:
        """The engines that the node starts without, and why."""
        node = self._node
        resting = [resident for resident in node.directory if node.slots[resident.slot].rests]
        return [{"engine": resident.name, "fault": node.faults[resident.name]} for resident in resting]

    def _open_control(self) -> None:
        """Answer commands. Imported here, while a child inspects families: no command arrives earlier."""
        from host.live.supervisor.serving.operations import Operations
        from host.live.supervisor.serving.server import ControlServer

        self._control = ControlServer(self._runtime.control, Operations(self._node, self._begin_stop).handle)
        self._runtime.announce(instance_of(self._spec))

    def _stay_reachable(self) -> None:
        """Make the runtime folder again if it was removed; where that is not possible, try again later."""
        if self._control is None or self._runtime.is_whole or not self._runtime.try_restore(self._spec.path):
            return
        try:
            self._control.bind(self._runtime.control)
            self._runtime.announce(instance_of(self._spec))
        except OSError as error:
            sys.stderr.write(f"no command reaches the node: {self._runtime.folder}: {error}\n")
        else:
            self._node.event("runtime_folder_restored", "", folder=self._runtime.folder)

    @property
    def _is_deleted(self) -> bool:
        """Whether node file and data are deleted; data that was moved is still there."""
        return not os.path.exists(self._spec.path) and os.fstat(self._runtime.data_lock).st_nlink == 0

    def _end_if_deleted(self) -> None:
        """A node without its file and its data can neither be found nor started again."""
        if self._is_deleted and not self._stop.is_set():
            sys.stderr.write(f"node {self._spec.node} ends: {self._spec.path} and {self._data} were deleted\n")
            self._stop.set()

    def _inspector(self) -> Inspector:
        from host.live.supervisor.inspection import Inspector

        if self._looking is None:
            self._looking = Inspector(self._nursery, self._spec.roots)
        return self._looking

    async def _is_device(self, family: str) -> bool:
        """Whether the family of a spawned engine is a device."""
        return (await self._inspector().look_at(family)).device

    def _make_node(self) -> Node:
        supervision = self._spec.supervision
        offset_ns = clock.offset_now()
        now_ns = clock.engine_clock(offset_ns)
        transport = SlotTransport(self._spec.transport, self._runtime)
        life = _life(self._spec, self._data)
        population.drop_all_code(self._data)
        node = Node(
            spec=self._spec,
            nursery=self._nursery,
            reaper=Reaper(),
            transport=transport,
            events=Record(os.path.join(self._data, "events.jsonl")),
            logs=Record(os.path.join(self._data, "logs.jsonl")),
            offset_ns=offset_ns,
            now_ns=now_ns,
            started_ns=now_ns(),
            data=self._data,
            epoch=epoch_before(life),
            quarantine=Quarantine(os.path.join(self._data, "quarantine.log")),
            memory_kills=MemoryKills(),
            budget=Budget(supervision.budget, supervision.period_ns),
            groups={group.name: Group(group, supervision) for group in supervision.groups},
            on_ready=self._tell_ready,
            on_fault=self._note_fault,
        )
        node.control_groups = ControlGroups(find_home(), self._spec.node, self._data, node.event)
        node.ended_logs = EndedLogs(self._data, life, self._spec.journal, node.all_journals_run, node.event)
        memory = transport.memory(SLOT_SUPERVISOR)
        link, attach = transport.link(memory, self._spec.transport.wait)
        node.sessions = Sessions(memory, link, attach, self._bury, self._lose_lane)
        node.sessions.epoch = node.epoch + 1
        return node

    async def _or_stop(self, work: Awaitable[T]) -> T | None:
        """The result of `work`, or None once the node has been asked to stop."""
        task = asyncio.ensure_future(work)
        stop = asyncio.ensure_future(self._stop.wait())
        await asyncio.wait((task, stop), return_when=asyncio.FIRST_COMPLETED)
        stop.cancel()
        if task.done():
            return task.result()
        task.cancel()
        return None

    def _take_look(self, look: Inspection) -> None:
        """How families look, and the faults of theirs and of what engines are given."""
        for report in look.families.values():
            if report.ok:
                self._node.interfaces[report.ref, report.version] = report.interface
        for engine in self._spec.engines:
            if engine.durability != "volatile" and look.is_device(engine.family):
                self._note_fault(engine.name, "configuration", f"{engine.family} is a device, which has no journal")
            for problem in look.families[engine.family].problems:
                self._note_fault(engine.name, f"{engine.family} cannot be used", str(problem))
        for finding in look.findings:
            self._note_fault(str(finding.path[1]), "configuration", finding.text)

    def _take_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in SIGNALS:
            loop.add_signal_handler(number, self._signalled)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)

    def _signalled(self) -> None:
        if self._stop.is_set():
            self._kill.set()
        self._stop.set()

    def _begin_stop(self, drain_ns: int) -> None:
        self._drain_ns = drain_ns
        self._stop.set()

    def _watch_command(self) -> None:
        """Attached: the end of file on the progress socket means that the command has exited."""
        loop, fd = asyncio.get_running_loop(), self._progress.socket.fileno()

        def gone() -> None:
            loop.remove_reader(fd)
            self._stop.set()

        loop.add_reader(fd, gone)

    def _take_mistake(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """A bug of ours in a callback: the node continues, and records the error where operators look."""
        loop.default_exception_handler(context)
        self._node.event("internal_error", "", error=repr(context.get("exception") or context["message"]))

    async def _tend(self) -> None:
        while True:
            await asyncio.sleep(TEND_S)
            self._node.reaper.collect()
            self._node.control_groups.sweep()
            self._node.ended_logs.tend()
            self._end_if_deleted()
            self._stay_reachable()
            self._kept_letters.tend()

    async def _read_output(self) -> None:
        while True:
            await asyncio.sleep(PRINTED_S)
            self._printed.read()

    def _is_engine(self, name: str) -> bool:
        found = self._node.directory.find(name)
        return not isinstance(found, Missing) or found.reason != "unknown"

    def _tell_ready(self, engine: str, pid: int) -> None:
        if self._node.phase == "starting":
            self._progress.tell(Response("ready", [{"engine": engine, "pid": pid}], last=False))

    def _note_fault(self, engine: str, reason: str, detail: str) -> None:
        item = {"engine": engine, "reason": reason, "detail": detail}
        self._faults.append(item)
        self._failed.set()
        self._progress.tell(Response("failed", [item], last=False))

    def _lose_lane(self, finding: str) -> None:
        self._node.event("lane_broken", "", finding=finding)

    def _bury(self, frame: Frame) -> None:
        """Turn mail for an ended session into dead letters."""
        now_ns = self._node.now_ns()
        letters = [Letter("ended", frame.sender, frame.target, frame.mailbox, now_ns, None) for _ in frame.payloads]
        self._node.letters.add({"ended": len(letters)}, letters)

    def _fail_start(self) -> int:
        names = ", ".join(dict.fromkeys(fault["engine"] for fault in self._faults))
        return self._fail("not_ready", f"node {self._spec.node} did not start: {names}")

    def _fail(self, error: str, message: str) -> int:
        self._progress.tell(Response("failed", list(self._faults), error=error, message=message))
        return EXIT_CODES[error]


def _life(spec: NodeSpec, data: str) -> int:
    """The number of this life, or 0 where no journal could remember the epochs of an earlier one."""
    if all(engine.durability == "volatile" for engine in spec.engines):
        return 0
    from host.live.journal.lives import begin_life

    return begin_life(data, spec.node, spec.roots)


def _import_late() -> None:
    """Import what `ps` needs, after the start and before the first `ps`."""
    import psutil  # noqa: F401
