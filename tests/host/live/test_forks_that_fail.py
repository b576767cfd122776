from __future__ import annotations

import io
import os
import resource
import socket
import sys
import traceback

import pytest

from host.live.spawn import zygote


def test_a_zygote_survives_a_fork_that_fails() -> None:
    """A machine without room for one more process loses its zygote, and with it every birth that was under way."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    pid = os.fork()
    if pid == 0:
        ours.close()
        if os.getuid() == 0:
            os.setresuid(65534, 65534, 65534)  # the limit does not hold for root
        resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))
        zygote._fork_twice(zygote.Fork("worker", "nobody", "nobody"), [theirs.fileno()], os.getpid())
        os._exit(42)
    theirs.close()
    assert ours.recv(1) == b"", "the supervisor takes the end of file for the end of a process that never was"
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 42
    ours.close()


@pytest.mark.parametrize("is_closed", [False, True])
def test_a_child_whose_words_find_no_room_keeps_its_exit_code(is_closed: bool) -> None:
    """A worker that fails while the disk is full is taken for one that left in order, and does not come back."""
    pid = os.fork()
    if pid == 0:
        try:
            full = open("/dev/full", "w")  # noqa: SIM115
            sys.stdout = sys.stderr = io.TextIOWrapper(io.BufferedWriter(full.detach().detach()), write_through=False)
            sys.stdout.write("the last words")
            if is_closed:
                os.close(sys.stdout.fileno())
            zygote._leave(7)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
