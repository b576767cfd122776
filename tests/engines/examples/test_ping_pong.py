"""Ping-pong, by `step` alone."""

from __future__ import annotations

from example_world import World
from hypothesis import given
from hypothesis import strategies as st

from engines.examples.ping_pong import PLAYER, Game, Serve
from engines.model import Ref


def game(turns: int) -> World:
    world = World()
    world.add("ann", PLAYER)
    world.add("ben", PLAYER)
    world.send("ann", Serve(Ref("ben"), turns))
    world.run()
    return world


def test_ping_and_pong_alternate() -> None:
    """If false, somebody plays out of turn, or the game does not end."""
    assert game(4).trace == [
        "outside -> ann: Serve(ben, 4)",
        "ann -> ben: Ping(1, 4, ann)",
        "ben -> ann: Pong(2, 4, ben)",
        "ann -> ben: Ping(3, 4, ann)",
        "ben -> ann: Pong(4, 4, ben)",
    ]


@given(st.integers(1, 50))
def test_turns_are_split_evenly(turns: int) -> None:
    """If false, a turn is lost or taken twice."""
    world = game(turns)
    assert world.state("ann") == Game(tuple(range(1, turns + 1, 2)))
    assert world.state("ben") == Game(tuple(range(2, turns + 1, 2)))


def test_a_new_game_begins_anew() -> None:
    """If false, the turns of two games are mixed."""
    world = game(6)
    world.send("ben", Serve(Ref("ann"), 2))
    world.run()
    assert (world.state("ben"), world.state("ann")) == (Game((1,)), Game((2,)))
