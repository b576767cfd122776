"""A game of dice: the player is asked, the die is rolled, and both answers are on record before they are used.

While it waits for the player the engine is suspended: `enginehost ps` shows the choice, `enginehost answer` makes it.
"""

from __future__ import annotations

from engines.model import (
    Arrived,
    Become,
    Choose,
    Config,
    Effects,
    Family,
    Interaction,
    Message,
    Note,
    Ref,
    Roll,
    Send,
    Value,
    interactive_rule,
    rule,
)

SIDES = 6


class Table(Config):
    """How long a player may take to choose."""

    patience_ns: int


class Bet(Message):
    """Bet `stake` that the die shows `side`; the outcome goes to `player`."""

    stake: int
    side: int
    player: Ref[Settled]


class Settled(Message):
    """The bet is settled: whether the die was rolled, the side it fell on, and the gain or loss."""

    rolled: bool
    side: int
    gain: int


class Bank(Value):
    """State: what the table has won so far, or lost."""

    balance: int = 0


Placed = Arrived[Bet, Table, Bank]


def is_fair(t: Placed) -> Bet | None:
    """The bet, if the die can show that side."""
    return t.message if 1 <= t.message.side <= SIDES and t.message.stake > 0 else None


@interactive_rule(when=is_fair)
def play(bet: Bet, t: Placed) -> Interaction[Bank, Settled]:
    """Ask, then roll. State: the balance. Messages: the outcome. Timers, engines: none. Silence means no."""
    answer = yield from Choose(["roll", "withdraw"], t.config.patience_ns)
    if answer != "roll":
        return Send(bet.player, Settled(False, 0, 0))
    side = yield from Roll(SIDES)
    gain = bet.stake * (SIDES - 1) if side == bet.side else -bet.stake
    return [Become(Bank(t.env.state.balance - gain)), Send(bet.player, Settled(True, side, gain))]


@rule(priority=1)
def decline(bet: Bet, _t: Placed) -> Effects[Bank, Settled]:
    """No valid bet. Messages: a settlement of nothing, and a note. State, timers, engines: none."""
    return [Note("no such bet", side=bet.side, stake=bet.stake), Send(bet.player, Settled(False, 0, 0))]


DICE = Family("dice", config=Table, state=Bank(), accepts=Bet, emits=Settled).rules(play, decline)
