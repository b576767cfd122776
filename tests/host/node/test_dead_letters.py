from __future__ import annotations

from typing import NamedTuple

from host.node.dead_letters import DeadLetters


class Letter(NamedTuple):
    sender: str
    target: str
    n: int = 0


def test_counts_are_complete_and_letters_are_the_newest() -> None:
    """A flood of dead letters either fills memory or is undercounted."""
    letters: DeadLetters[Letter] = DeadLetters(letters_max=3)
    letters.add({"unknown": 5, "failed": 1}, [Letter("a", "b", n) for n in range(5)])
    letters.add({"unknown": 1}, [Letter("c", "a", 9)])
    assert letters.counts == {"unknown": 6, "failed": 1}
    assert [letter.n for letter in letters.newest(10)] == [3, 4, 9]
    assert [letter.n for letter in letters.newest(1)] == [9]
    assert letters.newest(0) == []


def test_an_engines_letters_are_those_it_sent_and_those_it_missed() -> None:
    """Who looks for an engine's letters misses the ones sent to it."""
    letters: DeadLetters[Letter] = DeadLetters()
    letters.add({"unknown": 3}, [Letter("a", "b"), Letter("b", "c"), Letter("c", "a")])
    assert letters.newest(10, "a") == [Letter("a", "b"), Letter("c", "a")]
