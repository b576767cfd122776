"""Actor frameworks, each in its own interpreter (the resident) for one round and a short warm-up before it.

Frameworks start threads, servers and processes. A process that forks for other peers must not have threads, and idle
frameworks take processor time: beside a running Ray, the raw limit reaches half its rate on two cores. A line of JSON
on standard input requests a round, a line of output is its result, and the end of input ends the resident. It runs as
`python -m bench.peers.resident MODULE`, where MODULE has a `PEER`.

No process may stay behind: all descendants of the resident are listed before it exits, and killed if they remain.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from contextlib import closing, suppress
from importlib import import_module
from typing import Any, Final, Protocol

from bench.peers.installed import require
from bench.rounds import Contestant, Round
from host.program import command

ROUND_S: Final = 120.0
LEAVE_S: Final = 10.0
ROUNDS: Final = 3
"""Most counted rounds: each starts the framework anew, which takes Ray five seconds."""
WARM_UP_SHARE: Final = 5
ACTORS: Final = {"Ray": "ray", "xoscar": "xoscar", "Thespian": "thespian"}
"""Names in reports, and module names, both of the framework and below `bench.peers`."""


class Peer(Protocol):
    """The interface of a framework's `PEER`."""

    def start(self) -> None:
        """Start the framework, with an actor in its own process."""

    def oneway(self, size: int) -> Round:
        """Send `size` records to the actor, one by one."""

    def pingpong(self, size: int) -> Round:
        """Make `size` round trips with the actor."""

    def stop(self) -> None:
        """End the framework."""


def actors(suite: str, size: int) -> list[Contestant]:
    """All frameworks, in a suite named like a method of `Peer`."""
    return [_contestant(name, module, suite, size) for name, module in ACTORS.items()]


def _contestant(name: str, module: str, suite: str, size: int) -> Contestant:
    def run() -> Round:
        require(module)
        with closing(Resident(f"bench.peers.{module}")) as resident:
            resident.round(suite, max(size // WARM_UP_SHARE, 1))
            return resident.round(suite, size)

    return Contestant(name, run, rounds=ROUNDS)


class Resident:
    """The running interpreter of a framework."""

    def __init__(self, module: str) -> None:
        self._process = subprocess.Popen(
            command("bench.peers.resident", module),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )

    def round(self, suite: str, size: int) -> Round:
        """One round. Raises `RuntimeError` with the last error line of a failed resident, `TimeoutError`."""
        line = json.dumps({"suite": suite, "size": size}).encode() + b"\n"
        with suppress(BrokenPipeError):
            _pipe(self._process.stdin).write(line)
            _pipe(self._process.stdin).flush()
        output = _pipe(self._process.stdout)
        if not select.select([output], [], [], ROUND_S)[0]:
            raise TimeoutError(f"no result within {ROUND_S:g} s")
        answer = output.readline()
        if not answer:
            words = _pipe(self._process.stderr).read().decode(errors="replace").strip().splitlines()
            raise RuntimeError(words[-1] if words else "it ended without a message")
        taken: dict[str, Any] = json.loads(answer)
        return Round(taken["value"], taken["handled"], taken["taken_ns"])

    def close(self) -> None:
        """End the resident, wait for it, and kill its remaining descendants."""
        import psutil

        left: list[psutil.Process] = []
        with suppress(psutil.NoSuchProcess):
            left = psutil.Process(self._process.pid).children(recursive=True)
        with suppress(BrokenPipeError):
            _pipe(self._process.stdin).close()
        try:
            self._process.wait(LEAVE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for process in psutil.wait_procs(left, timeout=1.0)[1]:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(left, timeout=LEAVE_S)
        _pipe(self._process.stdout).close()
        _pipe(self._process.stderr).close()


def _pipe(file: Any) -> Any:
    assert file is not None, "all three are pipes"
    return file


def serve(peer: Peer) -> None:
    """A round for each line of input. Results go to the original standard output, since frameworks print too."""
    results = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    peer.start()
    try:
        for line in sys.stdin:
            order = json.loads(line)
            taken: Round = getattr(peer, order["suite"])(order["size"])
            result = {"value": taken.value, "handled": taken.handled, "taken_ns": list(taken.taken_ns)}
            results.write(json.dumps(result) + "\n")
            results.flush()
    finally:
        peer.stop()


def timed(trip: Any, size: int) -> Round:
    """`size` round trips made by calling `trip`."""
    taken_ns = []
    for _ in range(size):
        sent_ns = time.monotonic_ns()
        trip()
        taken_ns.append(time.monotonic_ns() - sent_ns)
    return Round(sorted(taken_ns)[size // 2], size, taken_ns)


def main() -> None:
    """Serve the peer of the module in the arguments."""
    serve(import_module(sys.argv[1]).PEER)
