"""The naive way to replace code: stop a process, have it write its state to a file, start another one that reads it.

Client and server are linked by a socket, which keeps what is asked meanwhile. The server is this file in a fresh
interpreter; a question and its answer are a number of eight bytes.
"""

from __future__ import annotations

import select
import socket
import subprocess
import sys
import tempfile
import time
from collections import deque
from pathlib import Path
from typing import Final

import msgspec

from bench.rounds import Contestant, Round

RATE: Final = 20_000
TICK_S: Final = 0.001
BEHIND_MAX: Final = 1_000
SETTLE_NS: Final = 100_000_000
ENTRY_BYTES: Final = 1_000
WORD_BYTES: Final = 8
READ_BYTES: Final = 1 << 16
STOP: Final = b"\xff" * WORD_BYTES


def stopped_and_copied(peer: str, reloads: int, state_bytes: int) -> Contestant:
    """The longest wait around each of so many replacements."""

    def run() -> Round:
        with tempfile.TemporaryDirectory(prefix="enginehost-bench-") as folder:
            state = Path(folder, "state")
            content = {n: n.to_bytes(ENTRY_BYTES, "big") for n in range(state_bytes // ENTRY_BYTES)}
            state.write_bytes(msgspec.msgpack.encode(content))
            return _Client(state).round(reloads)

    return Contestant(peer, run)


class _Client:
    """Asks, and keeps how long it waited."""

    def __init__(self, state: Path) -> None:
        self._state = state
        self._ours, self._theirs = socket.socketpair()
        self._server = self._started()
        self._asked_ns: deque[int] = deque()
        self._asked, self._last_ns, self._longest_ns = 0, 0, 0

    def round(self, reloads: int) -> Round:
        """Replace the server so often."""
        taken_ns = []
        began_ns = time.monotonic_ns()
        try:
            self._until_answered(SETTLE_NS)
            for _ in range(reloads):
                self._longest_ns = 0
                self._ours.sendall(STOP)
                while self._server.poll() is None:
                    self._ask_and_hear()
                self._server = self._started()
                self._until_answered(SETTLE_NS)
                taken_ns.append(self._longest_ns)
            answered = self._asked - len(self._asked_ns)
            rate = answered * 1e9 / (time.monotonic_ns() - began_ns)
        finally:
            self._server.kill()
            self._server.wait()
            self._ours.close()
            self._theirs.close()
        return Round(sorted(taken_ns)[reloads // 2], reloads, taken_ns, {"answers_per_s": rate})

    def _started(self) -> subprocess.Popen[bytes]:
        fd = self._theirs.fileno()
        return subprocess.Popen([sys.executable, "-m", __name__, str(fd), str(self._state)], pass_fds=[fd])

    def _until_answered(self, settle_ns: int) -> None:
        """Until an answer came, and this time has passed since."""
        before_ns = self._last_ns
        while self._last_ns == before_ns:
            self._ask_and_hear()
        until_ns = time.monotonic_ns() + settle_ns
        while time.monotonic_ns() < until_ns:
            self._ask_and_hear()

    def _ask_and_hear(self) -> None:
        """One tick."""
        count = min(round(RATE * TICK_S), BEHIND_MAX - len(self._asked_ns))
        self._asked_ns.extend([time.monotonic_ns()] * count)
        words = (n.to_bytes(WORD_BYTES, "big") for n in range(self._asked, self._asked + count))
        self._ours.sendall(b"".join(words))
        self._asked += count
        until_s = time.monotonic() + TICK_S
        while (left_s := until_s - time.monotonic()) > 0:
            if select.select([self._ours], [], [], left_s)[0]:
                self._hear(len(self._ours.recv(READ_BYTES)) // WORD_BYTES)

    def _hear(self, count: int) -> None:
        now_ns = time.monotonic_ns()
        for _ in range(count):
            self._longest_ns = max(self._longest_ns, now_ns - max(self._asked_ns.popleft(), self._last_ns))
            self._last_ns = now_ns


def _serve(line: socket.socket, state: Path) -> None:
    """Answer until told to stop, then write the state. What was asked behind that stays in the socket."""
    content = msgspec.msgpack.decode(state.read_bytes(), type=dict[int, bytes])
    while (word := line.recv(WORD_BYTES, socket.MSG_WAITALL)) != STOP:
        content[int.from_bytes(word, "big") % (len(content) or 1)] = word
        line.sendall(word)
    state.write_bytes(msgspec.msgpack.encode(content))


if __name__ == "__main__":
    _serve(socket.socket(fileno=int(sys.argv[1])), Path(sys.argv[2]))
