"""The process that workers are forked from: warm, single-threaded, and without any family imported.

It begins as a fork of the supervisor or as a program of its own (`zygote_start`). It imports what all workers need,
compiles the families of the node once for all workers, without running them, freezes the heap (`gc.freeze`: a
collection in a worker then leaves shared pages alone) and serves `Fork` packets, one after the other, each with the
descriptor of the child's socket. It sends no answers: a child introduces itself, on its own socket.

A fork is double. The supervisor must be the worker's parent, to read how it ends, and a worker must survive the zygote;
so the child in between exits at once and the supervisor, a subreaper, adopts the grandchild. The worker

1. closes every descriptor except its streams and its socket (otherwise it would hold other workers' lifelines open),
2. takes a session of its own, so a terminal's signals never reach it,
3. waits until the supervisor is its parent, asks the kernel to kill it with that parent, and compares the parent again,

and only then runs. Crash points: the zygote dies with requests unread: their sockets close, and the supervisor reads
the end of file as a birth that never happened. The zygote itself dies with the supervisor.
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
from host.live.lifeline import Orphaned, await_parent, die_with
from host.live.output import be_labelled, label_output
from host.live.packets import Channel, close_all
from host.live.spawn import SOCKET_FD
from host.live.spawn.title import show_title
from host.node.endings import CODE_MEMORY
from host.node.news import Packet
from transport.port import Closed

ADOPTION_NS_MAX: Final = 5_000_000_000
"""The process in between exits at once; only a starved machine delays that."""

ENTRIES: Final = {
    "worker": "host.live.worker.entry",
    "candidate": "host.live.worker.entry",
    "inspect": "host.live.inspection.inspect_child",
    "template": "host.live.spawn.template",
}
"""Modules whose `main(socket_fd)` a child may run. A candidate is a worker started by a reload."""

GC_THRESHOLDS: Final = (50_000, 20, 100)
"""Transitions make garbage without cycles; looking for cycles at every 700 allocations costs 5 %."""

PRELOADED: Final = ("engines.model", "host.live.worker.entry", "host.live.worker.candidate", "transport.native")
"""What every child needs; an inspecting one imports the little that is missing by itself."""

NATIVE: Final = ("transport.lanes", "host.live.cycle._cycle")
"""What a worker with lanes needs in addition."""

KEPT_BYTES: Final = 4 << 20
"""Far more than one write of a busy log."""

JOURNALED: Final = "host.live.worker.journaled"
"""What workers of a node with a journal need in addition; importing it takes longer than running 10,000 turns again."""


class OutputFile(Packet):
    """The file for output and faults from now on, also of children. Descriptor: [a file]."""


class Ahead(Packet):
    """Families to compile ahead. A worker whose source has changed by then compiles again.

    `journaled`: workers of this node keep journals.
    """

    families: tuple[str, ...]
    roots: tuple[str, ...]
    journaled: bool = False


class Fork(Packet):
    """A child that runs `entry`. Descriptor: [its socket].

    `name` and `title` are shown by the system's `top` and `ps`, 15 bytes and about 40. `group`: folder of a control
    group that the child enters first, "" for none.
    """

    entry: Literal["worker", "candidate", "inspect", "template"]
    name: str
    title: str
    group: str = ""


def main() -> None:
    """Serve until the supervisor hangs up.

    Children inherit the fault handlers and the collector's thresholds; setting these in each child would touch 200 KiB.
    """
    channel = _supervisor_channel()
    supervisor = os.getppid()
    _detach_input()
    try:
        die_with(supervisor)
    except Orphaned:  # a start that was refused is over before we are ready
        return
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    faulthandler.enable()
    faulthandler.register(signal.SIGUSR1, all_threads=True)
    label_output()
    _warm_up()
    show_title("enginehost: zygote", "zygote")
    serve(channel, supervisor)


def _warm_up() -> None:
    """Import what children need, without collecting garbage: what is made meanwhile stays."""
    gc.disable()
    for module in PRELOADED:
        import_module(module)
    if not import_module("transport.native").native_reason():
        for module in NATIVE:
            import_module(module)
    keep_freed_memory()
    gc.set_threshold(*GC_THRESHOLDS)
    gc.freeze()
    gc.enable()


def keep_freed_memory() -> None:
    """Let this process and its children keep `KEPT_BYTES` of freed memory, twice, for the next cycle.

    glibc gives freed blocks beyond 128 KiB back to the system until it meets a larger one, and takes that as its bound
    from then on (`mallopt(3)`). A batch of a log has 200 KiB: without this, each cycle touches new pages for it, which
    took an eighth of a busy journaled engine's time.
    """
    bytes(KEPT_BYTES)


def _supervisor_channel() -> Channel[Fork | Ahead | OutputFile]:
    os.set_inheritable(SOCKET_FD, False)
    return Channel(socket.socket(fileno=SOCKET_FD), msgspec.msgpack.Decoder(Fork | Ahead | OutputFile))


def _detach_input() -> None:
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)


def serve(channel: Channel[Fork] | Channel[Fork | Ahead | OutputFile], supervisor: int) -> None:
    """Serve requests until the supervisor hangs up."""
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
    """Fork the worker. If there is no room for a process, the socket closes, and the supervisor tries again later."""
    _flush()  # or each child prints it again
    try:
        between = os.fork()
    except OSError as error:
        sys.stderr.write(f"zygote: {request.name}: {error}\n")
        return
    if between == 0:
        try:
            os.setsid()  # a kill of the zygote's group must not reach a worker
            if os.fork() == 0:
                _become(request, descriptors[0], supervisor)
        finally:
            os._exit(0)
    os.waitpid(between, 0)


def _become(request: Fork, socket_fd: int, supervisor: int) -> Never:
    """The life of a child, from the fork to the exit. It never returns into the zygote's stack."""
    code = 1
    try:
        os.dup2(socket_fd, SOCKET_FD, inheritable=False)
        os.closerange(SOCKET_FD + 1, os.sysconf("SC_OPEN_MAX"))
        os.dup(SOCKET_FD)  # open until the exit, even if a family closes the other: an early end of file gets us killed
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
    """The part of a worker's title after the slot: its engine, or the first one and the number of others."""
    return request.title.partition("/")[2].partition(" ")[2] if request.entry in ("worker", "candidate") else ""


def _leave(code: int) -> Never:
    """Exit with this code, even if the disk has no room for the output, or a family closed the streams."""
    try:
        _flush()
    finally:
        os._exit(code)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):
            stream.flush()
