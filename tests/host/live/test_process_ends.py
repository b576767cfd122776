"""The end of a process, as the supervisor hears of it."""

from __future__ import annotations

import asyncio
import os
import select
import signal
import socket
from typing import Any, cast

from deadline import DEADLINE_S

from host.live.packets import worker_end
from host.live.supervisor.processes import Process
from host.live.wire import EngineEnded, Hello
from host.node.supervision import Ending


class Nursery:
    """Gives the far end of the socket pair to the test."""

    def bear(self, request: Any, descriptor: int) -> int:
        self.far = socket.socket(fileno=os.dup(descriptor))
        return 1


class Groups:
    def enter(self, group: Any, pid: int) -> None: ...
    def end(self, group: Any) -> None: ...


class Reaper:
    """Of one child; the real one would reap those of other tests."""

    def ending(self, pid: int) -> Ending:
        _, status = os.waitpid(pid, 0)
        return Ending(signal=os.WTERMSIG(status))


def test_an_end_is_reported_although_its_last_packets_cannot_be_handled() -> None:
    """False if a mistake in the supervisor at a packet of a process that has died kept its end from it, or cost the
    packets behind that one."""
    heard, ends, mistakes = list[str](), list[Ending](), list[Any]()

    def take(process: Process, packet: Any, descriptors: list[int]) -> None:
        heard.append(packet.name)
        raise ValueError(packet.name)

    async def run() -> None:
        loop, nursery, ended = asyncio.get_running_loop(), Nursery(), asyncio.Event()
        loop.set_exception_handler(lambda _, context: mistakes.append(context["exception"]))

        def end(process: Process, ending: Ending) -> None:
            ends.append(ending)
            ended.set()

        parts = cast("Any", (nursery, Reaper(), None, take, end, Groups(), None))
        process = Process(*parts)
        child = os.posix_spawnp("sleep", ["sleep", str(DEADLINE_S)], os.environ)
        channel, pidfd = worker_end(nursery.far), os.pidfd_open(child)
        channel.send(Hello(child), [pidfd])
        while not process.pid:
            await asyncio.sleep(0)
        for name in ("a", "b", "c"):
            channel.send(EngineEnded(name))
        process.kill()
        select.select([pidfd], [], [], DEADLINE_S)  # its packets and its end are seen in one turn of the loop
        os.close(pidfd)
        await asyncio.wait_for(ended.wait(), DEADLINE_S)
        channel.close()

    asyncio.run(run())
    assert heard == ["a", "b", "c"]
    assert [str(one) for one in mistakes] == heard
    assert ends == [Ending(signal=signal.SIGKILL)]
