"""Control groups of a node: one for each process with `memory_bytes`, beside its rlimits, where groups can be made.

RLIMIT_DATA is met first and is the friendlier limit: an allocation fails, and one transition is undone. It does not
count shared mappings, files in memory, or programs that an engine started. The group counts all of these, and its bound
protects the machine: at the bound the kernel kills the largest process of the group. That is the worker itself, whose
end is `out_of_memory` with its own group's counter as evidence, or a program it started, reported as `memory_kill`.

The bound is the sum of what a process may use: `memory_bytes`, twice for a slot with a journal (a snapshot is written
by a fork, whose copied pages count here too); its lanes to all slots and its arena, shared memory that is counted in
the group that first writes to it; `RESERVE_BYTES`. A process that keeps its rlimit never meets it.

A group is `<home>/enginehost-<key>-<node>-<slot>-<pid>-<n>`: the key is that of the data folder, which one supervisor
holds, the pid that supervisor's. So a group kept alive by a program of an earlier life does not get in the way. Its
life, and the actor of each step:

    made       supervisor, before the fork is asked for
    entered    the worker itself, right after its fork; the supervisor checks at its `Hello`, and moves it in
    ended      supervisor, before the end is reported: the counter is read for the last time
    removed    supervisor: at once, or when the last program in it is gone (`sweep`), at the latest at the node's end

Crash points: the supervisor dies between `made` and `removed`: its processes die too, empty groups stay, and the next
supervisor with the key removes them before it makes any. A group with a surviving program stays until that has ended. A
failure to make a group is reported once, and the process runs with its rlimits.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable
from typing import Final

from host.config.spec import TransportSpec
from host.live.supervisor.control_group_home import Home
from host.live.supervisor.control_group_leaf import PREFIX, divide, processes, unite, write
from host.live.supervisor.memory_kills import kills_counted
from transport.port import SLOTS_MAX

RESERVE_BYTES: Final = 64 << 20
"""For memory that no limit of ours counts: stacks, page tables, kernel buffers, written pages of the image."""

ENDED_MAX: Final = 256
"""Evidence kept for ends not judged yet; a reload keeps one for some seconds."""

LIMITS: Final = {1: "memory.limit_in_bytes", 2: "memory.max"}
COUNTERS: Final = {1: "memory.oom_control", 2: "memory.events"}


def bound_of(memory_bytes: int, transport: TransportSpec, *, journaled: bool) -> int:
    """The bound of a group whose process has a limit of `memory_bytes`."""
    own = 2 * memory_bytes if journaled else memory_bytes
    return own + SLOTS_MAX * transport.lane_bytes + transport.arena_bytes + RESERVE_BYTES


class ControlGroup:
    """One group, for one process. `pid` is 0 until the process is known."""

    def __init__(self, home: Home, name: str, bound: int) -> None:
        """Make it. Raises OSError, and leaves nothing behind."""
        self.name = name
        self.folder = f"{home.folder}/{name}"
        self.pid = 0
        self._counter = f"{self.folder}/{COUNTERS[home.version]}"
        os.mkdir(self.folder)
        try:
            self._limit(home.version, bound)
        except OSError:
            self.remove()
            raise
        self._known = self._last = self._count()

    def enter(self, pid: int) -> None:
        """Ensure that `pid` is in the group. Raises OSError; a process that has ended is no error."""
        self.pid = pid
        if pid not in processes(self.folder):
            with contextlib.suppress(ProcessLookupError):
                write(f"{self.folder}/cgroup.procs", str(pid))

    def look(self) -> int:
        """Kills between the last two looks, which the process of the group survived."""
        fresh, self._known = self._last - self._known, self._last
        self._last = self._count()
        return fresh

    def risen(self) -> int:
        """Kills that may explain the end of the process just now: those since the look before the last one."""
        return self._count() - self._known

    def remove(self) -> bool:
        """Remove it; whether it is gone. A group with a process in it stays."""
        try:
            os.rmdir(self.folder)
        except FileNotFoundError:
            return True
        except OSError:
            return False
        return True

    def _limit(self, version: int, bound: int) -> None:
        write(f"{self.folder}/{LIMITS[version]}", str(bound))
        swap = {1: ("memory.memsw.limit_in_bytes", bound), 2: ("memory.swap.max", 0)}[version]
        if os.path.exists(f"{self.folder}/{swap[0]}"):
            write(f"{self.folder}/{swap[0]}", str(swap[1]))

    def _count(self) -> int:
        return kills_counted(self._counter) or 0


class ControlGroups:
    """All groups of a node, for the event loop. Nothing waits, except for another node that divides the same home.

    Args:
        home: where groups are made, or why there is no place. node: its name. data: its data folder, which no other
        supervisor holds. event: records an event: a kind and fields.
    """

    def __init__(self, home: Home | str, node: str, data: str, event: Callable[..., None]) -> None:
        self._home = None if isinstance(home, str) else home
        self._key = hashlib.sha256(os.fsencode(os.path.realpath(data))).hexdigest()[:12]
        self._node = node
        self._event = event
        self._n = 0
        self._living: set[ControlGroup] = set()
        self._ended: dict[int, str] = {}
        self._emptying: set[ControlGroup] = set()
        self._has_divided = False
        self._has_told = False
        self._remove_old()

    def make(self, slot: int, bound: int) -> ControlGroup | None:
        """A group for a process about to be born; None if it cannot be made."""
        if self._home is None:
            return None
        self._n += 1
        try:
            if self._home.version == 2 and not self._has_divided:
                divide(self._home.folder)
                self._has_divided = True
            name = f"{PREFIX}{self._key}-{self._node}-{slot}-{os.getpid()}-{self._n}"
            group = ControlGroup(self._home, name, bound)
        except OSError as error:
            self._tell(error)
            return None
        self._living.add(group)
        return group

    def enter(self, group: ControlGroup | None, pid: int) -> None:
        """The process of a group is known now."""
        try:
            if group is not None:
                group.enter(pid)
        except OSError as error:
            self._tell(error)

    def end(self, group: ControlGroup | None) -> None:
        """The process of a group ended, or never came to be: keep the evidence of its counter, and remove the group."""
        if group is None:
            return
        self._living.discard(group)
        risen = group.risen()
        if risen > 0 and group.pid:
            self._ended[group.pid] = f"oom_kill of its control group {group.name} rose by {risen}"
        if len(self._ended) > ENDED_MAX:
            del self._ended[next(iter(self._ended))]
        if not group.remove():
            self._emptying.add(group)

    def evidence(self, pid: int) -> str:
        """Evidence that the kernel killed in the group of the ended process `pid`, for lack of memory; "" if none."""
        return self._ended.pop(pid, "")

    def look(self) -> None:
        """Called periodically: report programs that were killed while their worker lives."""
        for group in self._living:
            if kills := group.look():
                self._event("memory_kill", group=group.name, pid=group.pid, count=kills)

    def sweep(self) -> None:
        """Remove groups whose last process has ended by now."""
        self._emptying = {group for group in self._emptying if not group.remove()}

    def close(self) -> None:
        """Remove all groups: of the node, only this process is left. Idempotent."""
        self._emptying |= self._living
        self._living.clear()
        self.sweep()
        if self._has_divided and self._home is not None:
            unite(self._home.folder)
            self._has_divided = False

    def _remove_old(self) -> None:
        """Remove the groups that a killed supervisor left, but none of another node, and none in use."""
        if self._home is None:
            return
        with contextlib.suppress(OSError):
            for name in os.listdir(self._home.folder):
                if name.startswith(f"{PREFIX}{self._key}-"):
                    with contextlib.suppress(OSError):
                        os.rmdir(f"{self._home.folder}/{name}")

    def _tell(self, error: OSError) -> None:
        """Report, once in a life, that a process runs with its rlimits alone; the next birth tries again."""
        if self._home is not None and not self._has_told:
            self._has_told = True
            self._event("no_control_group", home=self._home.folder, reason=str(error))
