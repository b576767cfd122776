"""The device of launchers, with a real keeper: driver and twin report the same on the same orders."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from deadline import DEADLINE_S
from keeping import Kept, new_keeper

from engines.agents.orchestration.launching import (
    AgentExited,
    AgentPlan,
    EndSession,
    ForgetSession,
    GivePrompt,
    InterruptSession,
    KeeperLost,
    LaunchersKnown,
    LaunchersReport,
    LaunchSession,
    PrepareSession,
    PromptGiven,
    ReadWorkspace,
    SessionLaunched,
    SessionPrepared,
    SessionRefused,
    WorkspaceRead,
    WriteState,
)
from engines.devices.launcher import LAUNCHER, LaunchPlace, loss_of, messages_of, reported
from engines.model import Configuration, Delivery, Ref

PLAN = AgentPlan(("sh", "-c", "while read line; do echo got $line; done"))


class Desk:
    """The host of a driver: hands out orders, and keeps reports."""

    def __init__(self, root: Path) -> None:
        self.config = LaunchPlace(Ref("orchestrator"), str(root))
        self.me = Configuration("test", "launcher", None, self.config)
        self.orders: asyncio.Queue[Any] = asyncio.Queue()
        self.reports: asyncio.Queue[Any] = asyncio.Queue()

    def now_ns(self) -> int:
        return 0

    async def receive(self) -> Delivery[Any]:
        return Delivery("orchestrator", 0, await self.orders.get())

    def send(self, target: Ref[Any], message: Any) -> bool:
        self.reports.put_nowait(message)
        return True

    async def writable(self, target: Ref[Any]) -> None:
        raise AssertionError("this desk is never full")

    async def send_when_writable(self, target: Ref[Any], message: Any) -> None:
        self.send(target, message)

    async def wait(self, kind: type[Any]) -> Any:
        """The next report of one type."""
        async with asyncio.timeout(DEADLINE_S):
            while not isinstance(found := await self.reports.get(), kind):
                pass
        return found


@pytest.fixture
def kept(own_place: Path) -> Iterator[Kept]:
    with new_keeper(own_place / "root") as made:
        yield made


def driven(root: Path, script: Callable[[Desk], Any]) -> Any:
    """What a script with a driver comes to."""

    async def run() -> Any:
        desk = Desk(root)
        driver = asyncio.create_task(LAUNCHER.driver().run(desk))
        try:
            return await script(desk)
        finally:
            driver.cancel()

    return asyncio.run(run())


ORDERS: list[tuple[Any, type[Any]]] = [
    (PrepareSession("ann", 1, PLAN), SessionPrepared),
    (LaunchSession("ann", 1, PLAN), SessionLaunched),
    (GivePrompt("ann", 1, 7, "hello\n"), PromptGiven),
    (ReadWorkspace("ann", 1, "absent.md", 100, "r1"), WorkspaceRead),
    (EndSession("ann", 1, 10**9), AgentExited),
]


def test_driver_and_twin_report_alike(kept: Kept) -> None:
    """False if a report of the twin is of another type, or about another session or prompt, than that of the driver."""

    async def script(desk: Desk) -> list[Any]:
        await desk.wait(LaunchersKnown)
        found = []
        for order, kind in ORDERS:
            desk.orders.put_nowait(order)
            found.append(await desk.wait(kind))
        desk.orders.put_nowait(ForgetSession("ann", 1))
        return found

    for (order, kind), mine in zip(ORDERS, driven(kept.root, script), strict=True):
        other: Any = reported(order)
        assert type(mine) is type(other) is kind
        for name in ("agent", "session", "prompt", "path", "request_id", "reason"):
            assert getattr(mine, name, None) == getattr(other, name, None), (mine, other)
    for silent in (ForgetSession("ann", 1), InterruptSession("ann", 1), WriteState("ann", 1, "none", "a", "b")):
        assert reported(silent) is None


def test_a_level_that_is_not_there_is_refused(kept: Kept) -> None:
    """False if an agent is started at another level than its own."""

    async def script(desk: Desk) -> Any:
        await desk.wait(LaunchersKnown)
        desk.orders.put_nowait(PrepareSession("ann", 1, AgentPlan(("true",), "docker")))
        return await desk.wait(SessionRefused)

    assert driven(kept.root, script).reason.startswith("docker: ")


def test_state_is_written_where_the_agent_reads_it(kept: Kept) -> None:
    """False if a file is not in `.aism`, or follows a link that the agent has made."""
    workspace = kept.root / "agents" / "ann"

    async def script(desk: Desk) -> None:
        await desk.wait(LaunchersKnown)
        desk.orders.put_nowait(WriteState("ann", 1, "none", "state.json", "{}"))
        desk.orders.put_nowait(PrepareSession("ann", 1, PLAN))
        await desk.wait(SessionPrepared)
        assert (workspace / ".aism" / "state.json").read_text() == "{}"
        outside = kept.root / "outside"
        outside.mkdir()
        (workspace / ".aism").rename(workspace / "moved")
        (workspace / ".aism").symlink_to(outside)
        desk.orders.put_nowait(WriteState("ann", 1, "none", "state.json", "new"))
        desk.orders.put_nowait(PrepareSession("ann", 2, PLAN))
        await desk.wait(SessionPrepared)
        assert not list(outside.iterdir())
        assert (workspace / ".aism" / "state.json").read_text() == "new"

    driven(kept.root, script)


def test_a_keeper_that_is_gone_is_reported_and_found_again(kept: Kept) -> None:
    """False if the loss of the keeper is not reported, or the next one not found."""

    async def script(desk: Desk) -> None:
        await desk.wait(LaunchersKnown)
        desk.orders.put_nowait(PrepareSession("ann", 1, PLAN))
        await desk.wait(SessionPrepared)
        desk.orders.put_nowait(LaunchSession("ann", 1, PLAN))
        pid = (await desk.wait(SessionLaunched)).pid
        os.kill(kept.pid, signal.SIGKILL)
        await desk.wait(KeeperLost)
        desk.orders.put_nowait(GivePrompt("ann", 1, 1, "lost\n"))
        await asyncio.to_thread(kept.again)
        known = await desk.wait(LaunchersKnown)
        assert [(each.agent, each.session, each.pid) for each in known.running] == [("ann", 1, pid)]

    driven(kept.root, script)


def test_reports_say_what_sessions_use(kept: Kept) -> None:
    """False if a session that runs is missing from the report, or its use is nothing."""

    async def script(desk: Desk) -> Any:
        await desk.wait(LaunchersKnown)
        desk.orders.put_nowait(PrepareSession("ann", 1, PLAN))
        await desk.wait(SessionPrepared)
        desk.orders.put_nowait(LaunchSession("ann", 1, PLAN))
        await desk.wait(SessionLaunched)
        return await desk.wait(LaunchersReport)

    [use] = driven(kept.root, script).sessions
    assert (use.agent, use.session, use.processes) == ("ann", 1, 1)
    assert use.memory_bytes > 0


def test_a_keeper_of_an_older_version_is_named() -> None:
    """False if people read a bare name when a report of the keeper has not all that this version asks for."""
    older = {"event": "hello", "running": [{"agent": "ann", "session": 1, "pid": 7}]}
    with pytest.raises(KeyError) as missing:
        list(messages_of(older))
    assert "older version, and does not tell 'given'" in loss_of(missing.value)
