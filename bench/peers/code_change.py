"""Erlang's own way to replace code, if `erl` is on PATH: suspend, code_change, resume.

The program is `enginehost_reload.erl` beside this file; the module that it replaces is that of the server,
`enginehost_asked.erl`. Client and server are processes of one virtual machine.
"""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Final

from bench.peers.erlang import compiled, erl
from bench.peers.stop_and_copy import ENTRY_BYTES, RATE
from bench.rounds import Contestant, Round

SOURCES: Final = [Path(__file__).with_name(f"enginehost_{name}.erl") for name in ("reload", "asked")]


def suspended_and_resumed(peer: str, reloads: int, state_bytes: int) -> Contestant:
    """The longest wait around each of so many replacements."""
    stack, folders = ExitStack(), list[str]()

    def run() -> Round:
        if not folders:
            folders.append(compiled(stack, *SOURCES))
        size = f"{state_bytes // ENTRY_BYTES}, {ENTRY_BYTES}, {RATE}"
        *taken_ns, answered, took_ns = erl(folders[0], f"enginehost_reload:run({reloads}, {size}).")
        rate = answered * 1e9 / took_ns
        return Round(sorted(taken_ns)[reloads // 2], reloads, taken_ns, {"answers_per_s": rate})

    return Contestant(peer, run, stack.close)
