from __future__ import annotations

import io
import os
import platform
import resource
import socket
import subprocess
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


PAGES_TOUCHED = """
import resource
from host.live.spawn.zygote import keep_freed_memory

def touched():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(100):
        three = [bytearray(b"x") * 300_000 for _ in range(3)]
        del three
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

first = touched()
keep_freed_memory()
touched()
print(first, touched())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library may keep what is freed, or not")
def test_a_cycle_does_not_touch_new_memory_again_and_again() -> None:
    """False if a worker gave the memory of a batch back to the system after each cycle: then 22,000 pages in all."""
    out = subprocess.run([sys.executable, "-c", PAGES_TOUCHED], capture_output=True, text=True, check=True)
    before, after = map(int, out.stdout.split())
    assert before > 10_000, "glibc keeps what is freed by itself, and `keep_freed_memory` may go"
    assert after < 100
