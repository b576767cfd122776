"""Turns are taken, the warm-up is not counted, and one that fails does not take the others along."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from bench.rounds import Contestant, Figure, Round, Suite, Unavailable, figure_from, interleave


class Log:
    """Contestants that write down when they ran and when they were closed."""

    def __init__(self) -> None:
        self.ran: list[str] = []
        self.closed: list[str] = []

    def contestant(self, peer: str, act: Callable[[int], Round]) -> Contestant:
        def run() -> Round:
            self.ran.append(peer)
            return act(self.ran.count(peer))

        return Contestant(peer, run, lambda: self.closed.append(peer))


def suite(*contestants: Contestant) -> Suite:
    return Suite("suite", "a title", "records/s", 10, lambda _size: list(contestants))


def fine(number: int) -> Round:
    return Round(float(number), 10, [number * 100], {"depth": float(number)})


def lacking(_number: int) -> Round:
    raise Unavailable("not installed")


def failing(number: int) -> Round:
    if number == 2:
        raise ValueError("broke")
    return Round(1.0, 1)


def interrupted(_number: int) -> Round:
    raise KeyboardInterrupt


def test_all_run_once_a_round_and_take_turns_in_being_first() -> None:
    """If false, one contestant always runs in the wake of the same other one, or the rounds are no rounds."""
    log = Log()
    interleave(suite(log.contestant("a", fine), log.contestant("b", fine)), 10, 2)
    assert log.ran == ["a", "b", "b", "a", "a", "b"]
    assert log.closed == ["a", "b"]


def test_the_warm_up_is_not_counted() -> None:
    """If false, cold caches and first imports lie in the figures."""
    [figure] = interleave(suite(Log().contestant("a", fine)), 10, 3)
    assert figure.values == (2.0, 3.0, 4.0)
    assert figure.handled == 30
    assert figure.taken_ns == {"p50": 300, "p90": 400, "p99": 400, "p999": 400, "max": 400}
    assert figure.detail == {"depth": 3.0}


def test_who_cannot_run_says_so_and_who_fails_too() -> None:
    """If false, a missing or broken peer is skipped in silence, or ends the measurement of the others."""
    log = Log()
    contestants = [log.contestant("a", lacking), log.contestant("b", failing), log.contestant("c", fine)]
    a, b, c = interleave(suite(*contestants), 10, 3)
    assert (a.note, a.failed, a.values) == ("not installed", False, ())
    assert (b.note, b.failed, b.values) == ("failed: ValueError: broke", True, ())
    assert (c.note, len(c.values)) == ("", 3)
    assert log.ran.count("a") == 1
    assert log.closed == ["a", "b", "c"]


def test_an_interruption_closes_all() -> None:
    """If false, Ctrl-C leaves nodes behind."""
    log = Log()
    with pytest.raises(KeyboardInterrupt):
        interleave(suite(log.contestant("a", fine), log.contestant("b", interrupted)), 10, 3)
    assert log.closed == ["a", "b"]


def test_an_item_is_its_figure() -> None:
    """If false, a run that was kept cannot be compared."""
    [figure] = interleave(suite(Log().contestant("a", fine)), 10, 3)
    item = figure.as_item()
    assert (item["median"], item["min"], item["max"], item["rounds"]) == (3.0, 2.0, 4.0, 3)
    assert figure_from(item) == figure
    assert "median" not in Figure("suite", "peer", "ns", note="not installed").as_item()
