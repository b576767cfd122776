"""Nanoseconds that a client waits for an answer at most while the code of its server is replaced."""

from __future__ import annotations

from typing import Final

from bench.peers.code_change import suspended_and_resumed
from bench.peers.reloads import reloaded
from bench.peers.stop_and_copy import stopped_and_copied
from bench.rounds import Contestant, Suite

SMALL: Final = 100_000
LARGE: Final = (12_000_000, 60_000_000)
WAITING: Final = (1_000, 100_000)
FULL: Final = 10
"""Reloads of a round, in which 500,000 questions wait as well."""


def _contestants(reloads: int) -> list[Contestant]:
    large, waiting = (LARGE, WAITING) if reloads > 1 else ((), ())
    more = (500_000,) if reloads >= FULL else ()
    return [
        reloaded("enginehost", reloads, "crash", SMALL),
        *(reloaded(f"enginehost-{size // 1_000_000}MB", reloads, "crash", size) for size in large),
        *(reloaded(f"enginehost-{count}-waiting", reloads, "crash", SMALL, count) for count in (*waiting, *more)),
        reloaded("enginehost-volatile", reloads, "volatile", SMALL),
        *(reloaded(f"enginehost-volatile-{size // 1_000_000}MB", reloads, "volatile", size) for size in large),
        suspended_and_resumed("Erlang", reloads, SMALL),
        *(suspended_and_resumed(f"Erlang-{size // 1_000_000}MB", reloads, size) for size in large),
        stopped_and_copied("naive", reloads, SMALL),
        *(stopped_and_copied(f"naive-{size // 1_000_000}MB", reloads, size) for size in large),
    ]


SUITE = Suite(
    "reload",
    "longest wait for an answer while the code of the server is replaced",
    "ns",
    FULL,
    _contestants,
    rounds=3,
)
