"""Erlang/OTP, if `erl` is on PATH: both processes in one virtual machine, and on two nodes over loopback.

The program is `enginehost_peer.erl` beside this file, compiled for each contestant. Two nodes find each other through
their own port mapper on its own port, which ends with the round; nothing listens beyond this machine.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from bench.rounds import Contestant, Round, Unavailable

ROUND_S: Final = 120.0
LISTEN_S: Final = 5.0
LOOK_S: Final = 0.01
SOURCE: Final = Path(__file__).with_name("enginehost_peer.erl")
PROCESSES_MAX: Final = 1_000_000
"""Process limit of a VM; its default is 262,144."""
LOOPBACK: Final = ["-kernel", "inet_dist_use_interface", "{127,0,0,1}", "-start_epmd", "false"]


def one_vm(suite: str, size: int) -> Contestant:
    """Both sides in one virtual machine."""
    return _contestant("Erlang, one VM", suite, lambda folder: erl(folder, _run(suite, size)))


def two_nodes(suite: str, size: int) -> Contestant:
    """Each side in a virtual machine of its own, linked over loopback."""
    return _contestant("Erlang, two nodes", suite, lambda folder: _linked(folder, suite, size))


def _contestant(peer: str, suite: str, say: Callable[[str], list[int]]) -> Contestant:
    stack, folders = contextlib.ExitStack(), list[str]()

    def run() -> Round:
        if not folders:
            folders.append(compiled(stack))
        return _read(suite, say(folders[0]))

    return Contestant(peer, run, stack.close)


def compiled(stack: contextlib.ExitStack, *sources: Path) -> str:
    """A folder with the compiled program. Raises `Unavailable` without Erlang."""
    if shutil.which("erl") is None or shutil.which("erlc") is None:
        raise Unavailable("not installed: erl is not on PATH (Debian: apt install erlang-base)")
    folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="enginehost-bench-"))
    subprocess.run(
        ["erlc", "-o", folder, *map(str, sources or [SOURCE])], check=True, capture_output=True, timeout=ROUND_S
    )
    return folder


def _read(suite: str, numbers: list[int]) -> Round:
    """The program's output as a round, in the units of the suite."""
    match suite:
        case "pingpong":
            return Round(sorted(numbers)[len(numbers) // 2], len(numbers), numbers)
        case "density":
            return Round(numbers[1] / numbers[0], numbers[0])
        case _:
            return Round(numbers[0] * 1e9 / numbers[1], numbers[0])


def _run(suite: str, size: int, node: str = "") -> str:
    return f"enginehost_peer:run({suite}, {size}" + (f", '{node}')." if node else ").")


def erl(folder: str, program: str, *flags: str, env: dict[str, str] | None = None) -> list[int]:
    """Run an expression with the modules of a folder; the numbers it prints."""
    command = ["erl", "-noshell", "+P", str(PROCESSES_MAX), "-pa", folder, *flags, "-eval", program]
    with _ended(command, env, subprocess.PIPE) as process:
        output, _ = process.communicate(timeout=ROUND_S)
        if process.returncode:
            raise RuntimeError(f"erl ended with code {process.returncode}")
    return [int(word) for word in output.split()]


def _linked(folder: str, suite: str, size: int) -> list[int]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    env = {**os.environ, "ERL_EPMD_PORT": port, "ERL_EPMD_ADDRESS": "127.0.0.1"}
    cookie, there = secrets.token_hex(16), f"there{port}@127.0.0.1"
    link = [*LOOPBACK, "-setcookie", cookie]
    with _ended(["epmd", "-port", port, "-address", "127.0.0.1"], env):
        _wait_until_listening(int(port))
        with _ended(["erl", "-noshell", "-pa", folder, *link, "-name", there], env):
            return erl(folder, _run(suite, size, there), *link, "-name", f"here{port}@127.0.0.1", env=env)


@contextlib.contextmanager
def _ended(
    command: list[str], env: dict[str, str] | None, stdout: int = subprocess.DEVNULL
) -> Iterator[subprocess.Popen[bytes]]:
    """A program in its own process group, which is killed at the end of the block."""
    null, calm = subprocess.DEVNULL, {**(env or os.environ), "ERL_CRASH_DUMP_SECONDS": "0"}
    process = subprocess.Popen(command, stdin=null, stdout=stdout, stderr=null, env=calm, start_new_session=True)
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def _wait_until_listening(port: int) -> None:
    deadline_s = time.monotonic() + LISTEN_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=LISTEN_S).close()
            return
        except ConnectionRefusedError:
            if time.monotonic() > deadline_s:
                raise TimeoutError(f"epmd does not listen after {LISTEN_S:g} s") from None
            time.sleep(LOOK_S)
