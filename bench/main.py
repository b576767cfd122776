"""Entry point of `enginehost bench`: measures suites and returns the items of its envelope."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import msgspec

from bench.machine import this_run
from bench.rounds import ROUNDS, Suite, interleave
from bench.suites import NAMES, load_suite
from host.cli.progress import progress_line
from host.live.control.protocol import ControlError

Items = list[dict[str, Any]]


class Effort(msgspec.Struct, frozen=True):
    """Amount of work: counted rounds (None: the suite's number), and the share of the suite's size in each round."""

    rounds: int | None = None
    share: float = 1.0

    def of(self, suite: Suite) -> tuple[int, int]:
        """Size and rounds for a suite."""
        return max(round(suite.size * self.share), suite.least), self.rounds or min(ROUNDS, suite.rounds)


ENDING: Final = (signal.SIGTERM, signal.SIGHUP)

FULL: Final = Effort()
QUICK: Final = Effort(rounds=3, share=0.2)
"""Quick and rough."""


def run(suites: Sequence[str], effort: Effort) -> Items:
    """Measure suites, one after the other; one item per suite and peer. No suites: all of them.

    Raises:
        ControlError: `usage` for an unknown suite.
    """
    if unknown := [name for name in suites if name not in NAMES]:
        raise ControlError("usage", f"no suite {unknown[0]!r}; there are {', '.join(NAMES)}")
    wanted = [load_suite(name) for name in dict.fromkeys(suites or NAMES)]
    known = {"run": this_run()}
    with _ended_by_signals(), _progress() as say:
        figures = [figure for suite in wanted for figure in interleave(suite, *effort.of(suite), say)]
    return [figure.as_item() | known for figure in figures]


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """SIGTERM and SIGHUP end a measurement like Ctrl-C, and leave nothing behind."""
    before = {number: signal.signal(number, signal.default_int_handler) for number in ENDING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _progress() -> Iterator[Any]:
    from rich.console import Console

    with progress_line(Console(stderr=True)) as say:
        yield say
