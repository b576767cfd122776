"""The process that workers are forked from: warm, single-threaded, and ignorant of every family.

It begins as a fork of the supervisor or as a program of its own (`zygote_start`). It imports what all workers need,
compiles the families of the node without running them, so that not every worker does, freezes the heap (`gc.freeze`: a
collection in a worker then leaves shared pages alone) and serves `Fork` packets, one after the other, each with the
descriptor of the socket the child is to own. Nothing is answered: a child introduces itself, on its own socket.

A fork is double. The supervisor must be the worker's parent, to read how it ends, and a worker must outlive the zygote;
so the child in between exits at once and the supervisor, a subreaper, adopts the grandchild. The worker

1. closes every descriptor but its streams and its socket (else it would hold other workers' lifelines open),
2. takes a session of its own, so a terminal's signals never reach it,
3. waits until the supervisor is its parent, asks to die with it, looks again,

and only then runs. Crash points: the zygote dies with requests unread: their sockets close, and the supervisor takes
that end of file for the end of a process that never was. The zygote's own life ends with the supervisor's.
"""

from __future__ import annotations

import contextlib
import faulthandler
import gc
import os
import select
import signal
import socket
import sys
from importlib import import_module
from typing import Final, Literal, Never

import msgspec

from host.live.confine import enter_group
from host.live.output import be_labelled, label_output
from host.live.packets import Channel, close_all
from host.live.spawn import SOCKET_FD
from host.live.spawn.lifeline import Orphaned, await_parent, die_with
from host.live.spawn.title import show_title
from host.live.wire import Packet
from host.node.endings import CODE_MEMORY
from transport.port import Closed

ADOPTION_NS_MAX: Final = 5_000_000_000
"""The process in between exits at once; only a starved machine makes that a while."""

ENTRIES: Final = {
    "worker": "host.live.worker.entry",
    "candidate": "host.live.worker.entry",
    "inspect": "host.live.inspection.inspect_child",
    "template": "host.live.spawn.template",
}
"""Modules whose `main(socket_fd)` a child may run. A candidate is the worker that a reload brings."""

GC_THRESHOLDS: Final = (50_000, 20, 100)
"""Transitions make garbage without cycles; looking for cycles at every 700 allocations costs 5 %."""

PRELOADED: Final = ("engines.model", "host.live.worker.entry", "host.live.worker.candidate", "transport.native")
"""What every child needs; an inspecting one imports the little that is missing by itself."""

NATIVE: Final = ("transport.lanes", "host.live.cycle._cycle")
"""What a worker with lanes needs besides."""

JOURNALED: Final = "host.live.worker.journaled"
"""What workers of a node with a journal need besides; to import it takes longer than to run 10,000 turns again."""


class OutputFile(Packet):
    """Where output and faults go from now on, the children's too. Descriptor: [a file]."""


class Ahead(Packet):
    """Families to compile before they are asked for. A worker whose source differs by then compiles again.

    `journaled`: workers of this node keep journals.
    """

    families: tuple[str, ...]
    roots: tuple[str, ...]
    journaled: bool = False


class Fork(Packet):
    """A child that runs `entry`. Descriptor: [its socket].

    `name` and `title` are what the system's `top` and `ps` show, 15 bytes and about 40. `group`: folder of a control
    group that the child enters before anything else, "" for none.
    """

    entry: Literal["worker", "candidate", "inspect", "template"]
    name: str
    title: str
    group: str = ""


def main() -> None:
    """Serve until the supervisor hangs up.

    Children inherit the fault handlers and the collector's thresholds; setting them there, each would touch 200 KiB.
    """
    channel = _supervisor_channel()
    supervisor = os.getppid()
    _detach_input()
    die_with(supervisor)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    faulthandler.enable()
    faulthandler.register(signal.SIGUSR1, all_threads=True)
    label_output()
    _warm_up()
    show_title("enginehost: zygote", "zygote")
    serve(channel, supervisor)


def _warm_up() -> None:
    """Import what children need; what is made meanwhile stays, so nobody looks for garbage."""
    gc.disable()
    for module in PRELOADED:
        import_module(module)
    if not import_module("transport.native").native_reason():
        for module in NATIVE:
            import_module(module)
    gc.set_threshold(*GC_THRESHOLDS)
    gc.freeze()
    gc.enable()


def _supervisor_channel() -> Channel[Fork | Ahead | OutputFile]:
    os.set_inheritable(SOCKET_FD, False)
    return Channel(socket.socket(fileno=SOCKET_FD), msgspec.msgpack.Decoder(Fork | Ahead | OutputFile))


def _detach_input() -> None:
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)


def serve(channel: Channel[Fork] | Channel[Fork | Ahead | OutputFile], supervisor: int) -> None:
    """Do what is asked until the supervisor hangs up."""
    while True:
        select.select([channel], [], [])
        try:
            received = channel.receive()
        except Closed:
            return
        if received is not None:
            _do(*received, supervisor)


def _do(request: Fork | Ahead | OutputFile, descriptors: list[int], supervisor: int) -> None:
    match request:
        case Fork():
            _fork_twice(request, descriptors, supervisor)
        case Ahead(families, roots, journaled):
            from engines.model import compile_ahead

            if journaled:
                import_module(JOURNALED)
            compile_ahead(families, roots)
            gc.freeze()
        case OutputFile():
            for stream in (1, 2):
                os.dup2(descriptors[0], stream)
    close_all(descriptors)


def _fork_twice(request: Fork, descriptors: list[int], supervisor: int) -> None:
    """Or not at all: where there is no room for a process, the socket closes, and the supervisor tries again later."""
    _flush()  # or each child prints it again
    try:
        between = os.fork()
    except OSError as error:
        sys.stderr.write(f"zygote: {request.name}: {error}\n")
        return
    if between == 0:
        try:
            os.setsid()  # what is killed with the zygote's group is nobody's worker
            if os.fork() == 0:
                _become(request, descriptors[0], supervisor)
        finally:
            os._exit(0)
    os.waitpid(between, 0)


def _become(request: Fork, socket_fd: int, supervisor: int) -> Never:
    """The life of a child, from the fork to the exit. Nothing of it returns into the zygote's stack."""
    code = 1
    try:
        os.dup2(socket_fd, SOCKET_FD, inheritable=False)
        os.closerange(SOCKET_FD + 1, os.sysconf("SC_OPEN_MAX"))
        os.dup(SOCKET_FD)  # open until the exit, whoever closes the other: who hangs up and lives on is killed
        if request.group:
            enter_group(request.group)
        os.setsid()
        await_parent(supervisor, ADOPTION_NS_MAX)
        die_with(supervisor)
        show_title(request.title, request.name)
        be_labelled(_label_of(request))
        import_module(ENTRIES[request.entry]).main(SOCKET_FD)
        code = 0
    except Orphaned:
        pass
    except MemoryError:
        code = CODE_MEMORY
    except SystemExit as leave:
        code = leave.code if isinstance(leave.code, int) else 1
    except BaseException:
        with contextlib.suppress(OSError, ValueError):
            sys.excepthook(*sys.exc_info())
    finally:
        _leave(code)


def _label_of(request: Fork) -> str:
    """Behind the slot in the title of a worker: its engine, or the first one and how many more."""
    return request.title.partition("/")[2].partition(" ")[2] if request.entry in ("worker", "candidate") else ""


def _leave(code: int) -> Never:
    """Exit with this code, also where the disk has no room for what was printed, or a family closed the streams."""
    try:
        _flush()
    finally:
        os._exit(code)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):
            stream.flush()
