"""The game of dice, by `step` alone."""

from __future__ import annotations

import pytest
from example_world import World

from engines.examples.dice import DICE, Bank, Bet, Settled, Table
from engines.model import Answer, Choose, Ref, Roll

MINUTE_NS = 60_000_000_000


def table(side: int = 6) -> World:
    world = World(outside=["player"])
    world.add("dice", DICE, Table(MINUTE_NS))
    world.send("dice", Bet(10, side, Ref("player")))
    world.run()
    return world


@pytest.mark.parametrize(
    ("answers", "settled", "balance"),
    [
        (("roll", 6), Settled(True, 6, 50), -50),
        (("roll", 5), Settled(True, 5, -10), 10),
        (("withdraw",), Settled(False, 0, 0), 0),
        ((None,), Settled(False, 0, 0), 0),
    ],
    ids=["won", "lost", "withdrawn", "silence"],
)
def test_the_game_follows_the_answers(answers: tuple[Answer, ...], settled: Settled, balance: int) -> None:
    """If false, the recorded answers and the outcome do not fit."""
    world = table()
    for answer in answers:
        world.answer("dice", answer)
    world.run()
    assert world.outside["player"] == [settled]
    assert world.state("dice") == Bank(balance)


def test_the_questions_in_their_order() -> None:
    """If false, the die is rolled before the player agreed, or there is no time-out."""
    world = table()
    *_, suspended = world.asked["dice"]
    assert suspended.question == Choose(["roll", "withdraw"], MINUTE_NS)
    world.answer("dice", "roll")
    *_, suspended = world.asked["dice"]
    assert suspended.question == Roll(6)


def test_a_bet_on_no_side_is_declined() -> None:
    """If false, the engine asks about a bet that cannot be won."""
    world = table(side=7)
    assert world.asked == {}
    assert world.outside["player"] == [Settled(False, 0, 0)]
