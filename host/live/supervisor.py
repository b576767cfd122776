"""`python -m host.live.supervisor SPEC_FD READY_FD [--attached]`: the process that a node is.

This file is what happens before there is a loop: the node is read, its folder claimed, and the zygote started, so
that it gets warm while the rest is imported. How the descriptors are used stands in `host.live.control`. Signals are
blocked until the loop can take them: an early Ctrl-C ends the node as a late one does.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
from typing import Final

import msgspec

from host.config.spec import NodeSpec
from host.live.control import EXIT_CODES, Response
from host.live.nursery import Nursery
from host.live.runtime_dir import Refused, RuntimeDir, Taken, claim

SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Those that end a node in order."""

LOG_BYTES_MAX: Final = 8 << 20
"""Size at which `supervisor.log` is set aside at the start of a node."""


class Progress:
    """Packets to whoever started us. It may have gone: then nobody is told, and nothing is wrong."""

    def __init__(self, fd: int) -> None:
        os.set_inheritable(fd, False)
        self.socket = socket.socket(fileno=fd)

    def tell(self, response: Response) -> None:
        """Send one packet, if somebody is there."""
        try:
            self.socket.send(msgspec.msgpack.encode(response), socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
        except OSError:
            return


def main() -> int:
    """Run the node to its end; the exit code."""
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    spec = _read_spec(int(sys.argv[1]))
    progress = Progress(int(sys.argv[2]))
    is_attached = "--attached" in sys.argv[3:]
    data = spec.data or os.path.join(os.path.dirname(spec.path), ".enginehost", spec.node)
    try:
        runtime = claim(spec.path)
    except Taken:
        return _give_up(progress, "conflict", f"{spec.path} runs already, or is just starting")
    except (Refused, OSError) as error:
        return _give_up(progress, "failed", f"no folder for the node to run in: {error}")
    try:
        return _run(spec, data, runtime, progress, is_attached)
    except OSError as error:
        return _give_up(progress, "failed", f"the node cannot start: {error}")
    finally:
        runtime.close()


def _run(spec: NodeSpec, data: str, runtime: RuntimeDir, progress: Progress, is_attached: bool) -> int:
    os.makedirs(data, exist_ok=True)
    nursery = Nursery(_open_log(data))
    from host.live.service import serve

    return serve(spec, data, runtime, nursery, progress, is_attached=is_attached)


def _read_spec(fd: int) -> NodeSpec:
    with open(fd, "rb") as file:
        return msgspec.msgpack.decode(file.read(), type=NodeSpec)


def _open_log(data: str) -> int:
    """Where the streams of zygote and workers go: output of engines, faults of the interpreter."""
    path = os.path.join(data, "supervisor.log")
    if os.path.exists(path) and os.path.getsize(path) > LOG_BYTES_MAX:
        os.replace(path, path + ".1")
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)


def _give_up(progress: Progress, error: str, message: str) -> int:
    progress.tell(Response("failed", error=error, message=message))
    print(message, file=sys.stderr)
    return EXIT_CODES[error]


if __name__ == "__main__":
    sys.exit(main())
