"""ZeroMQ contexts for the control socket, or an error where there is no room for their threads.

libzmq aborts a process that may not start its two threads, so that is tried first.
"""

from __future__ import annotations

import errno
import threading
from contextlib import ExitStack
from typing import Final

import zmq

THREADS: Final = 2
"""Threads of a context: one for its sockets' I/O, one that closes them."""


def make_context() -> zmq.Context[zmq.Socket[bytes]]:
    """A context, after a check that there is room for its threads. Raises OSError."""
    go_on = threading.Event()
    with ExitStack() as stack:
        stack.callback(go_on.set)
        try:
            for _ in range(THREADS):
                threading.Thread(target=go_on.wait).start()
        except RuntimeError:
            advice = "end some, or raise the limit: ulimit -u"
            raise OSError(errno.EAGAIN, f"this user may start no more threads or processes: {advice}") from None
    return zmq.Context()


def make_socket(context: zmq.Context[zmq.Socket[bytes]], kind: int) -> zmq.Socket[bytes]:
    """A socket. Raises OSError in place of ZeroMQ's own error."""
    try:
        return context.socket(kind)
    except zmq.ZMQError as error:
        raise OSError(error.errno, error.strerror) from error
