"""Faults while a slot is passed on, on live nodes: each process is stopped or killed before and behind that step."""

from __future__ import annotations

import os
import resource
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psutil
import pytest
from live_nodes import LiveNode, World, counter, until
from test_journaled_reload import FREE, GATED, at_gate, edit, open_gate, reloading, shown
from test_launches_that_fail import no_descriptors

from host.config.spec import NodeSpec
from host.live.control.protocol import ControlError
from host.live.supervisor.reload import FREEZE_NS, SEEN_NS
from transport.native import native_available, native_reason

pytestmark = [
    pytest.mark.storm,
    pytest.mark.skipif(not native_available(), reason=f"no native lanes: {native_reason()}"),
]

FUTURE, SUM = "from __future__ import annotations\n", "    return [Become(Count(t.env.state.total + add.amount"
EVENT = "anon_inode:[eventfd]"
PAUSE_NS = 200_000_000
assert PAUSE_NS < FREEZE_NS
GATE_OLD = "time.sleep(0.005)\n"
DEAF = f"""{GATE_OLD}    if name == "old":
        hear_nothing()


def hear_nothing():
    import contextlib, socket
    for fd in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError), socket.socket(fileno=os.dup(int(fd))) as ours:
            while ours.type == socket.SOCK_SEQPACKET:
                for sent in socket.recv_fds(ours, 1 << 20, 8, socket.MSG_DONTWAIT)[1]:
                    os.close(sent)
"""
"""An engine that takes the orders to its process out of their socket, behind the gate."""


def gated(world: World) -> NodeSpec:
    """A node whose engine waits in the turn of a 7."""
    edit(world, FUTURE, FUTURE + GATED)
    edit(world, SUM, f'    gate("old") if add.amount == 7 else None\n{SUM}')
    return world.spec(counter("a", durability="crash"), supervision=FREE)


class Cut:
    """A reload from version 1 to 2: the candidate is primed, the old process has the order to pass the slot on."""

    def __init__(self, world: World, node: LiveNode, found: list[Any]) -> None:
        self.world, self.found = world, found
        self.new, self.old = at_gate(world, "rehearsing"), node.ps()["a"]["pid"]
        sockets, shared = descriptors(node.pid, "socket:"), descriptors(self.new, EVENT)
        with suppress(ControlError):
            seven = {"amount": ["json", 7]}
            node.client.request("send", {"engine": "a", "tag": "Add", "fields": seven, "timeout_ns": 1})
        at_gate(world, "old")
        open_gate(world, "rehearsing")
        until(lambda: descriptors(self.new, EVENT) > shared, "the token")
        until(lambda: descriptors(node.pid, "socket:") == sockets, "the order, with which the supervisor's baton goes")

    def pass_on(self) -> None:
        """The old process finishes its turn and passes the slot on."""
        open_gate(self.world, "old")
        until(lambda: not self._is_locked(), "the log given up")

    def _is_locked(self) -> bool:
        with open("/proc/locks", encoding="ascii") as file:
            return any(f" {self.old} " in line for line in file)


@contextmanager
def cut(world: World, node: LiveNode, **args: Any) -> Iterator[Cut]:
    """A reload that has come to its cut; it goes on behind the block."""
    node.send("a", "Add", amount=5)
    gates = 'gate("new") if add.amount == 7 else gate("rehearsing") if add.amount == 5'
    edit(world, 'gate("old") if add.amount == 7', gates)
    edit(world, "VERSION = 1", "VERSION = 2")
    with reloading(node, rehearse=1_000, **args) as found:
        yield Cut(world, node, found)
        open_gate(world, "old")
        open_gate(world, "new")


def descriptors(pid: int, kind: str) -> int:
    """How many of this kind a process has."""
    found = 0
    for fd in os.listdir(f"/proc/{pid}/fd"):
        with suppress(FileNotFoundError):
            found += os.readlink(f"/proc/{pid}/fd/{fd}").startswith(kind)
    return found


def stop(pid: int) -> None:
    """Have a process stand still."""
    os.kill(pid, signal.SIGSTOP)
    until(lambda: psutil.Process(pid).status() == psutil.STATUS_STOPPED, f"{pid} standing still")


def goes_on(node: LiveNode) -> tuple[int, int]:
    """Version and total, once the engine runs and has added one."""
    until(lambda: node.states()["a"] == "running", "the engine")
    node.send("a", "Add", amount=1)
    return shown(node)


@pytest.mark.parametrize(
    ("victim", "is_passed", "ends"),
    [("old", True, (2, 13)), ("new", False, (1, 13)), ("new", True, (1, 13)), ("supervisor", True, (2, 13))],
)
def test_a_kill_in_the_cut_leaves_one_version(
    world: World, victim: str, is_passed: bool, ends: tuple[int, int]
) -> None:
    """False if a death in the cut lost or doubled a message, or left a version that nobody had decided on."""
    spec = gated(world)
    with world.up(spec) as node:
        with cut(world, node) as at:
            if is_passed:
                at.pass_on()
            os.kill({"old": at.old, "new": at.new, "supervisor": node.pid}[victim], signal.SIGKILL)
        if victim != "supervisor":
            assert goes_on(node) == ends
            return
        until(lambda: not world.processes(), "the end of all")
    with world.up(spec) as node:
        assert goes_on(node) == ends


def test_an_old_process_that_ended_before_it_passed_the_slot_is_said(world: World) -> None:
    """False if the refusal were an error of ours, or the engine came back with code that was not in force."""
    with world.up(gated(world)) as node:
        with cut(world, node) as at:
            os.kill(at.old, signal.SIGKILL)
        assert "the old process ended" in str(at.found[0])
        assert "Traceback" not in str(at.found[0])
        assert goes_on(node)[0] == 1


@pytest.mark.parametrize("victim", ["old", "new"])
def test_a_process_that_stands_still_in_the_cut_costs_the_pause_that_is_allowed(world: World, victim: str) -> None:
    """False if an engine stood still for longer than it may, since one of two processes did nothing."""
    with world.up(gated(world)) as node:
        with cut(world, node, pause_ns=PAUSE_NS) as at:
            stop(at.old if victim == "old" else at.new)
            if victim == "new":
                at.pass_on()
            began_ns = time.monotonic_ns()
            until(lambda: at.found, "the refusal")
            assert time.monotonic_ns() - began_ns < FREEZE_NS
        os.kill(at.old, signal.SIGCONT)
        assert "in time; the old one goes on untouched" in str(at.found[0])
        assert goes_on(node) == (1, 13)


def test_an_order_that_is_lost_is_not_waited_for(world: World) -> None:
    """False if a live engine that will never pass its slot on kept the reload for all of the pause that is allowed."""
    spec = gated(world)
    edit(world, GATE_OLD, DEAF)
    with world.up(spec) as node:
        with cut(world, node) as at:
            began_ns = time.monotonic_ns()
            open_gate(world, "old")
            until(lambda: at.found, "the refusal")
            assert SEEN_NS <= time.monotonic_ns() - began_ns < FREEZE_NS
        assert "in time; the old one goes on untouched" in str(at.found[0])
        assert (node.ps()["a"]["pid"], *goes_on(node)) == (at.old, 1, 13)


def test_new_code_that_differs_in_the_last_turn_is_refused_with_it(world: World) -> None:
    """False if its author could not see what differs."""
    with world.up(gated(world)) as node:
        edit(world, SUM, f"{SUM} + 0 // (VERSION * add.amount != 14)")
        with cut(world, node) as at:
            at.pass_on()
        assert "a keeps its code: rehearsal: a, turn 2: recorded committed; the replay gives failed" in str(at.found[0])
        assert goes_on(node) == (1, 13)


def test_a_disk_without_room_behind_the_decision_says_which_code_is_in_force(world: World) -> None:
    """False if somebody were told that an engine keeps the code that it has no more."""
    with world.up(gated(world)) as node:
        with cut(world, node) as at:
            at.pass_on()
            at_gate(world, "new")
            resource.prlimit(at.new, resource.RLIMIT_FSIZE, (0, 0))
        assert "a has the new code, but its process did not begin" in str(at.found[0])
        assert goes_on(node) == (2, 13)


def test_an_error_of_the_supervisor_refuses_the_reload_at_once(world: World) -> None:
    """False if a reload that met an error of ours waited for its time-out, and then gave that as its reason."""
    with world.up(gated(world)) as node:
        node.send("a", "Add", amount=5)
        edit(world, 'gate("old") if add.amount == 7', 'gate("rehearsing") if add.amount == 5')
        edit(world, "VERSION = 1", "VERSION = 2")
        with reloading(node, rehearse=1_000) as found:
            at_gate(world, "rehearsing")
            with no_descriptors(node):
                open_gate(world, "rehearsing")
                until(lambda: found, "the refusal")
        assert "a keeps its code: internal error: OSError(24, 'Too many open files')" in str(found[0])
        assert [one["error"] for one in node.events("internal_error")] == ["OSError(24, 'Too many open files')"]
        assert goes_on(node) == (1, 6)
        assert node.ask("reload", engine="a", timeout_ns=10**10)[0]["to"] != ""
