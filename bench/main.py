"""`enginehost bench`: which contestants meet in which suite, and the items the command prints."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from bench.peers import enginehost, eventfd, limit, pyzmq, startup
from bench.progress import progress_line
from bench.rounds import ROUNDS, Contestant, interleave
from host.live.control.protocol import ControlError

RECORDS: Final = 500_000
"""Of a round of `oneway`: about half a second for the fastest contestant."""
ROUND_TRIPS: Final = 10_000
"""Of a round of `pingpong`: its times still fit into one message."""


def _oneway() -> list[Contestant]:
    return [
        enginehost.oneway(RECORDS, "lane"),
        limit.oneway(RECORDS),
        enginehost.oneway(RECORDS // 2, "zmq"),
        pyzmq.oneway(RECORDS // 2),
    ]


def _pingpong() -> list[Contestant]:
    return [
        enginehost.pingpong("pingpong", ROUND_TRIPS, "lane", "block"),
        eventfd.pingpong(ROUND_TRIPS),
        enginehost.pingpong("pingpong", ROUND_TRIPS, "zmq", "block"),
    ]


def _pingpong_awake() -> list[Contestant]:
    return [enginehost.pingpong("pingpong-awake", ROUND_TRIPS, "lane", "adaptive")]


SUITES: Final[dict[str, Callable[[], list[Contestant]]]] = {
    "oneway": _oneway,
    "pingpong": _pingpong,
    "pingpong-awake": _pingpong_awake,
    "startup": lambda: [startup.startup()],
}
ALSO: Final = {"pingpong": ["pingpong-awake"]}
"""Suites that are shown beside the one that was asked for."""


def run(suites: Sequence[str], options: dict[str, Any]) -> list[dict[str, Any]]:
    """Measure suites, one after the other; one item a suite and peer.

    Args:
        suites: keys of `SUITES`.
        options: `rounds`, the counted rounds of each contestant.

    Raises:
        ControlError: `usage` for a suite there is none of.
    """
    if unknown := [suite for suite in suites if suite not in SUITES]:
        raise ControlError("usage", f"no suite {unknown[0]!r}; there are {', '.join(SUITES)}")
    wanted = dict.fromkeys(name for suite in suites for name in (suite, *ALSO.get(suite, ())))
    rounds = options.get("rounds", ROUNDS)
    from rich.console import Console

    with progress_line(Console(stderr=True)) as say:
        figures = [figure for suite in wanted for figure in interleave(SUITES[suite](), rounds, say)]
    return [figure.as_item() for figure in figures]
