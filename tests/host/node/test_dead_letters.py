from __future__ import annotations

from host.node.dead_letters import DeadLetters
from host.node.news import Letter


def letter(sender: str, target: str, n: int = 0) -> Letter:
    return Letter("unknown", sender, target, 0, n, None)


def test_counts_are_complete_and_letters_are_the_newest() -> None:
    """A flood of dead letters either fills memory or is undercounted."""
    letters = DeadLetters(letters_max=3)
    letters.add({"unknown": 5, "failed": 1}, [letter("a", "b", n) for n in range(5)])
    letters.add({"unknown": 1}, [letter("c", "a", 9)])
    assert letters.counts == {"unknown": 6, "failed": 1}
    assert [one.now_ns for one in letters.newest(10)] == [3, 4, 9]
    assert [one.now_ns for one in letters.newest(1)] == [9]
    assert letters.newest(0) == []


def test_an_engines_letters_are_those_it_sent_and_those_it_missed() -> None:
    """Who looks for an engine's letters misses the ones sent to it."""
    letters = DeadLetters()
    letters.add({"unknown": 3}, [letter("a", "b"), letter("b", "c"), letter("c", "a")])
    assert letters.newest(10, "a") == [letter("a", "b"), letter("c", "a")]
