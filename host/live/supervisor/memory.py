"""The memory of slots: lanes, or a ZeroMQ address and a keep; and in both cases a control page.

The supervisor holds the descriptors: memory outlives the process that uses it. Nothing has a name in /dev/shm: closing
the last descriptor frees the memory, even if every process is killed at once. Peers get `out` and `in`, or the keep,
reopened read-only.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable
from typing import Final

from host.config.spec import TransportSpec
from host.live import control_page
from host.live.packets import close_all
from host.live.supervisor.runtime_dir import RuntimeDir
from host.live.worker.own_link import open_end
from transport.native import NativeMissing, native_available
from transport.port import Broken, Link


class SlotMemory:
    """What a slot owns beyond its processes. `lane` is [out, in, doorbell], with ZeroMQ [keep].

    `address`: what a ZeroMQ peer connects to; "" with lanes.
    """

    def __init__(self, address: str, lane: tuple[int, ...]) -> None:
        self.address = address
        self._lane = lane
        self._peer = (*(_read_only(fd) for fd in lane[:2]), *lane[2:])
        self._page = control_page.new_control_page()

    def own_descriptors(self) -> list[int]:
        """The descriptors for the slot's process, as listed in `Boot`. They stay ours."""
        return [*self._lane, self._page]

    def peer_descriptors(self) -> list[int]:
        """The descriptors for a process that links with the slot, as listed in `Attach`. They stay ours."""
        return list(self._peer)

    def reading(self) -> control_page.Reading:
        """What the process is executing, or was when it died; nothing if its page is unreadable."""
        try:
            return control_page.read_control_page(self._page)
        except Broken:
            return control_page.Reading("", None, ())

    def moves(self) -> tuple[int, ...]:
        """The words of the control page, in the order of `host.node.progress`."""
        return control_page.read_words(self._page)

    def stack(self) -> str:
        """The stack that `dump_stack` produced."""
        return control_page.read_stacks(self._page)

    def dump_stack(self, pid: int) -> None:
        """Make the process write its stack beside the page, whatever it is doing; `stack` reads it later."""
        control_page.clear_stacks(self._page)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGUSR1)

    def close(self) -> None:
        """Free the memory. Idempotent."""
        if self._page >= 0:
            close_all((*self._lane, *self._peer[:2], self._page))
            self._page = -1


Attacher = Callable[[int, SlotMemory], None]
"""Links slot 0 with a slot; lanes and ZeroMQ have one each."""


class SlotTransport:
    """How a node makes slots: with lanes where the node file and the machine allow (`native`), else with ZeroMQ."""

    def __init__(self, spec: TransportSpec, runtime: RuntimeDir) -> None:
        """Raises `NativeMissing` if the node file or the environment demands lanes and the native core is missing."""
        self.native = _choose_lanes(spec)
        self._lane_bytes: Final = spec.lane_bytes
        self._arena_bytes: Final = spec.arena_bytes
        self._runtime = runtime

    def memory(self, slot: int) -> SlotMemory:
        """Memory for a new slot."""
        if not self.native:
            from transport.keep_memory import create_keep

            return SlotMemory(self._runtime.link(slot), (create_keep(self._lane_bytes, self._arena_bytes),))
        from transport.lanes import create_slot

        return SlotMemory("", create_slot(self._lane_bytes))

    def link(self, own: SlotMemory, wait: str) -> tuple[Link, Attacher]:
        """The supervisor's own end, in slot 0, and how it links with a slot."""
        mine = [os.dup(fd) for fd in own.own_descriptors()[:-1]]
        link, attach = open_end(0, own.address, mine, self.native, wait, self._arena_bytes)
        return link, lambda peer, memory: attach(peer, memory.address, [os.dup(fd) for fd in memory.peer_descriptors()])


def _choose_lanes(spec: TransportSpec) -> bool:
    if spec.local == "zmq":
        return False
    available = native_available()
    if spec.local == "lane" and not available:
        raise NativeMissing("transport: {local: lane} needs the native core, which is not there (enginehost doctor)")
    return available


def _read_only(fd: int) -> int:
    return os.open(f"/proc/self/fd/{fd}", os.O_RDONLY | os.O_CLOEXEC)
