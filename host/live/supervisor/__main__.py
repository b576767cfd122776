"""The supervisor process of a node, a program with the arguments SPEC_FD READY_FD [--attached].

The zygote is forked before anything else is imported, and warms up meanwhile. Signals are blocked until the loop can
take them: an early Ctrl-C ends the node like a late one.
"""

from __future__ import annotations

import gc
import os
import signal
import sys

from host.live.spawn.zygote_start import SIGNALS, fork_zygote


def main() -> int:
    """Run the node to its end; the exit code."""
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    gc.disable()  # until the node is up: what is made on the way there stays
    spec_fd, ready_fd = map(int, sys.argv[1:3])
    for fd in (spec_fd, ready_fd):
        os.set_inheritable(fd, False)
    zygote = fork_zygote((spec_fd, ready_fd))
    from host.live.supervisor.startup import start

    return start(zygote, spec_fd, ready_fd, is_attached="--attached" in sys.argv[3:])


if __name__ == "__main__":
    sys.exit(main())
