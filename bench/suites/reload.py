"""Nanoseconds that a client waits for an answer at most while the code of its server is replaced.

The small state gets most reloads, so that its p99 is a measured one; larger states and full queues, which show no
trend, get a few. `--rounds` makes more of all.
"""

from __future__ import annotations

from typing import Final

from bench.peers.code_change import suspended_and_resumed
from bench.peers.reloads import reloaded
from bench.peers.stop_and_copy import stopped_and_copied
from bench.rounds import Contestant, Suite

SMALL: Final = 100_000
LARGE: Final = (12_000_000, 60_000_000)
WAITING: Final = (1_000, 100_000)
FULL: Final = 34
"""Reloads of a round with the small state, in which 500,000 questions wait as well: 102 in three rounds."""
HALF: Final = 2
"""A round has one trial, and one window without a reload, for so many reloads with the small state."""
FEWER: Final = 17
"""A round has one reload of each other case for so many reloads with the small state."""


def _contestants(reloads: int) -> list[Contestant]:
    large, waiting = (LARGE, WAITING) if reloads > 1 else ((), ())
    more = (500_000,) if reloads >= FULL else ()
    few, trials = -(-reloads // FEWER), -(-reloads // HALF)
    return [
        reloaded("enginehost", reloads, "crash", SMALL),
        reloaded("enginehost-trial", trials, "crash", SMALL, what="trial"),
        reloaded("enginehost-idle", trials, "crash", SMALL, what="idle"),
        *(reloaded(f"enginehost-{size // 1_000_000}MB", few, "crash", size) for size in large),
        *(reloaded(f"enginehost-{count}-waiting", few, "crash", SMALL, count) for count in (*waiting, *more)),
        reloaded("enginehost-volatile", few, "volatile", SMALL),
        *(reloaded(f"enginehost-volatile-{size // 1_000_000}MB", few, "volatile", size) for size in large),
        suspended_and_resumed("Erlang", few, SMALL),
        *(suspended_and_resumed(f"Erlang-{size // 1_000_000}MB", few, size) for size in large),
        stopped_and_copied("naive", few, SMALL),
        *(stopped_and_copied(f"naive-{size // 1_000_000}MB", few, size) for size in large),
    ]


SUITE = Suite(
    "reload",
    "longest wait for an answer while the code of the server is replaced; its state: 0.1 MB, or as in the name",
    "ns",
    FULL,
    _contestants,
    rounds=3,
)
