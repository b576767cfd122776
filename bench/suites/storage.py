"""Bytes per second into a chunk store; beside it, hashing and encrypting the same bytes, and writing them as files."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from blake3 import blake3

from bench.live_node import exchange, live_node
from bench.rounds import Contestant, Round, Suite
from engines.benchmark.storing import new_contents
from engines.devices.file_store import THREADS
from engines.storage.chunk import CONTENT_BYTES_MAX, encrypted
from host.live.control.client import Client

NODE: Final = """
node: bench-storage
engines:
  source: {{family: "engines.benchmark.storing:DEPOSITOR"}}
  chunks: {{family: "engines.storage.store:STORE", config: {{files: files, index: index, grace_ns: 0s}}}}
  files: {{family: "engines.devices.file_store:FILE_STORE", config: {{path: {folder}/chunks}}}}
  index: {{family: "engines.devices.key_value:KEY_VALUE", config: {{path: {folder}/chunks.sqlite}}}}
placement: {{default: process}}
"""


def _contestants(size: int) -> list[Contestant]:
    return [
        _store(size, "enginehost", ahead=False),
        _store(size, "enginehost-encrypted-before", ahead=True),
        _alone(size, "BLAKE3", lambda contents: [blake3(content).digest() for content in contents]),
        _alone(size, "encryption", lambda contents: [encrypted(content) for content in contents]),
        _alone(size, "synced-files", _write_files),
    ]


def _store(size: int, peer: str, *, ahead: bool) -> Contestant:
    """A node in a folder of its own. A collection, outside of the time, deletes the chunks of each round."""
    stack, clients = ExitStack(), list[Client]()

    def run() -> Round:
        if not clients:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="enginehost-bench-"))
            clients.append(stack.enter_context(live_node(NODE.format(folder=folder))))
        order = {"size": size, "ahead": ahead, "store": "chunks"}
        seen = exchange(clients[0], "source", "Deposit", order, wait="Seen")
        exchange(clients[0], "chunks", "Collect", {}, wait="Collected")
        return Round(seen["count"] * 1e9 / max(seen["took_ns"], 1), seen["count"])

    return Contestant(peer, run, stack.close)


def _alone(size: int, peer: str, work: Callable[[Sequence[bytes]], object]) -> Contestant:
    """The work in this process."""

    def run() -> Round:
        contents = list(new_contents(size))
        began_ns = time.perf_counter_ns()
        work(contents)
        return Round(size * 1e9 / max(time.perf_counter_ns() - began_ns, 1), size)

    return Contestant(peer, run)


def _write_files(contents: Sequence[bytes]) -> None:
    """One file each, synced, from as many threads as the file store has."""
    with tempfile.TemporaryDirectory(prefix="enginehost-bench-") as folder, ThreadPoolExecutor(THREADS) as threads:
        list(threads.map(_write_synced, (Path(folder, str(n)) for n in range(len(contents))), contents))


def _write_synced(path: Path, content: bytes) -> None:
    with path.open("xb", buffering=0) as file:
        file.write(content)
        os.fdatasync(file.fileno())


SUITE = Suite(
    "storage",
    "content into a chunk store: encrypted, hashed, in synced files, with an index in SQLite",
    "bytes/s",
    128 << 20,
    _contestants,
    least=CONTENT_BYTES_MAX,
)
