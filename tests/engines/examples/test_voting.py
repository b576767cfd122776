"""Voting, by `step` alone."""

from __future__ import annotations

from example_world import World
from hypothesis import given
from hypothesis import strategies as st

from engines.examples.voting import POLL, VOTER, Candidates, Elect, Result, ResultRequest, Vote
from engines.model import Map, Ref

DRINKS = ("tea", "coffee")


def polling(candidates: tuple[str, ...] = DRINKS) -> World:
    world = World(outside=["me"])
    world.add("poll", POLL, Candidates(candidates))
    return world


def result(world: World) -> Result:
    world.send("poll", ResultRequest(Ref("me")))
    world.run()
    found = world.outside["me"][-1]
    assert isinstance(found, Result)
    return found


def test_a_second_vote_counts_for_nothing() -> None:
    """If false, a voter is counted twice, or may change their mind."""
    world = polling()
    for name in ("ann", "ben"):
        world.add(name, VOTER)
    for name, candidate in (("ann", "tea"), ("ben", "coffee"), ("ann", "coffee"), ("ann", "tea")):
        world.send(name, Elect(candidate, Ref("poll")))
    world.run()
    assert result(world) == Result(Map({"tea": 1, "coffee": 1}), voters=2)


@given(st.lists(st.tuples(st.sampled_from("abcde"), st.sampled_from([*DRINKS, "milk"])), max_size=40))
def test_the_result_is_the_first_valid_vote_of_each_voter(votes: list[tuple[str, str]]) -> None:
    """If false, the poll and an obviously right count of the same votes differ."""
    world = polling()
    first: dict[str, str] = {}
    for voter, candidate in votes:
        world.send("poll", Vote(candidate), sender=voter)
        if candidate in DRINKS:
            first.setdefault(voter, candidate)
    world.run()
    expected = {candidate: list(first.values()).count(candidate) for candidate in DRINKS}
    assert result(world) == Result(Map(expected), voters=len(first))


def test_other_candidates_by_configuration() -> None:
    """If false, the candidates are in the code and not in the parameters."""
    world = polling(("red", "green"))
    world.send("poll", Vote("tea"), sender="ann")
    world.send("poll", Vote("red"), sender="ann")
    world.run()
    assert result(world) == Result(Map({"green": 0, "red": 1}), voters=1)
