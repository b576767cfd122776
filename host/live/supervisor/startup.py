"""The start of a node before there is a loop: read its spec, claim its folder, open its log.

`host.live.control.protocol` describes the descriptors.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import resource
import socket
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from host.config.spec import NodeSpec
from host.live.control.protocol import EXIT_CODES, Response
from host.live.spawn.title import show_title
from host.live.spawn.zygote import Ahead
from host.live.supervisor.data_place import IN_THE_WAY, NO_ROOM, NoPlace, no_place, take_place
from host.live.supervisor.nursery import Nursery
from host.live.supervisor.printed import OUTPUT, OUTPUT_BYTES_MAX
from host.live.supervisor.runtime_dir import FolderRefused, FolderTaken, RuntimeDir, claim
from host.live.supervisor.start_progress import StartProgress, instance_of
from transport.port import Closed

AHEAD_MAX: Final = 64
"""Families compiled before workers ask for them: they fit one packet, and more would delay the start."""

DESCRIPTORS: Final = 1024
"""More than the slots of a node need, a dozen each."""

DESCRIPTORS_MAX: Final = 1 << 15
"""With 64 processes introduced to one another at once, 12,096 descriptors are in flight. The limit counts those too,
across all of a user's processes."""


def start(zygote: socket.socket, spec_fd: int, ready_fd: int, *, is_attached: bool) -> int:
    """Run the node to its end; the exit code. No spec arrives when the command found a mistake in the node file."""
    spec = _read_spec(spec_fd)
    if spec is None:
        return EXIT_CODES["ok"]
    progress = StartProgress(ready_fd)
    data = spec.data or os.path.join(os.path.dirname(spec.path), ".enginehost", spec.node)
    try:
        runtime = claim(spec.path)
    except FolderTaken:
        return _give_up(progress, "conflict", f"{spec.path} runs already, or is just starting")
    except (FolderRefused, OSError) as error:
        return _give_up(progress, "failed", f"no folder for the node to run in: {error}")
    try:
        return _run(spec, data, runtime, zygote, progress, is_attached)
    except FolderTaken:
        return _give_up(progress, "conflict", _who_holds(data))
    except NoPlace as error:
        return _say_no_place(progress, error)
    except (OSError, Closed) as error:
        if isinstance(error, OSError) and error.errno in NO_ROOM | IN_THE_WAY:
            return _say_no_place(progress, no_place(data, error))
        return _give_up(progress, "failed", f"the node cannot start: {error}{_advice(error, spec)}")
    finally:
        progress.finish()
        runtime.close()


def _run(
    spec: NodeSpec, data: str, runtime: RuntimeDir, zygote: socket.socket, progress: StartProgress, is_attached: bool
) -> int:
    _make_room_for_descriptors()
    show_title(f"enginehost: {spec.node}", "enginehost")
    runtime.data_lock = take_place(data)
    runtime.announce(instance_of(spec))
    log_fd = _open_log(data)
    if not is_attached:
        os.dup2(log_fd, 1)
        os.dup2(log_fd, 2)
    nursery = Nursery(zygote, log_fd, _ahead(spec))
    from host.live.supervisor.service import serve

    return serve(spec, data, runtime, nursery, progress, is_attached=is_attached)


def _advice(error: OSError | Closed, spec: NodeSpec) -> str:
    """What to do about a limit on descriptors."""
    if not isinstance(error, OSError) or error.errno not in (errno.EMFILE, errno.ENFILE):
        return ""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = f"at most {hard} are allowed, too few for this node (engines: {len(spec.engines)})"
    return f"; {limit}: raise that (ulimit -n {DESCRIPTORS_MAX}, or LimitNOFILE of a unit), or put engines together"


def _who_holds(data: str) -> str:
    from host.live.control.holders import holder_of

    holder = holder_of(data)
    if holder is None:
        return f"another running node keeps its data in {data}"
    who = f"node {holder.node} (pid {holder.pid}), started as {holder.config}"
    return f"{who}, keeps its data in {data}: end it first (enginehost -f {holder.config} down)"


def _make_room_for_descriptors() -> None:
    """Raise this process's limit, and have the kernel grow its table of descriptors to the final size.

    Once there are threads (ZeroMQ starts two), each doubling of the table waits for an RCU grace period, about 10 ms.
    """
    limit, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = DESCRIPTORS_MAX if hard == resource.RLIM_INFINITY else min(DESCRIPTORS_MAX, hard)
    if limit != resource.RLIM_INFINITY and limit < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        limit = wanted
    last = DESCRIPTORS if limit == resource.RLIM_INFINITY else min(DESCRIPTORS, limit)
    with contextlib.suppress(OSError):
        os.close(fcntl.fcntl(0, fcntl.F_DUPFD_CLOEXEC, last - 1))


def _ahead(spec: NodeSpec) -> Ahead:
    families = tuple(dict.fromkeys(engine.family for engine in spec.engines))[:AHEAD_MAX]
    return Ahead(families, spec.roots, any(engine.durability != "volatile" for engine in spec.engines))


def _read_spec(fd: int) -> NodeSpec | None:
    with open(fd, "rb") as file:
        content = file.read()
    return msgspec.msgpack.decode(content, type=NodeSpec) if content else None


def _open_log(data: str) -> int:
    """The file for the output of zygote, workers and a detached supervisor: prints of engines, faults."""
    path = os.path.join(data, OUTPUT)
    if os.path.exists(path) and os.path.getsize(path) > OUTPUT_BYTES_MAX:
        os.replace(path, path + ".1")
    try:
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise no_place(data, error) from error


def _say_no_place(progress: StartProgress, error: NoPlace) -> int:
    item = {"data": error.data, "reason": error.reason, "advice": error.advice}
    return _give_up(progress, "failed", str(error), [item])


def _give_up(progress: StartProgress, error: str, message: str, items: Sequence[Any] = ()) -> int:
    progress.tell(Response("failed", list(items), error=error, message=message))
    return EXIT_CODES[error]
