"""Two players: a ping is answered by a pong, a pong by a ping, until the last turn. Each keeps the turns it took."""

from __future__ import annotations

from msgspec.structs import replace

from engines.model import Arrived, Become, Effects, Family, Message, Ref, Send, Value, rule


class Serve(Message):
    """From outside: begin a game against `opponent`, of `turns` turns in all."""

    opponent: Ref[Ping]
    turns: int


class Ping(Message):
    """Turn number `turn`; the pong goes to `striker`."""

    turn: int
    turns: int
    striker: Ref[Pong]


class Pong(Message):
    """Turn number `turn`; the next ping goes to `striker`."""

    turn: int
    turns: int
    striker: Ref[Ping]


class Game(Value):
    """State of a player: the turns it took in its latest game."""

    took: tuple[int, ...] = ()


@rule
def serve(order: Serve, t: Arrived[Serve, None, Game]) -> Effects[Game, Ping | Pong]:
    """State: the first turn is taken. Messages: the first ping. Timers, engines: none."""
    return [Become(Game((1,))), Send(order.opponent, Ping(1, order.turns, Ref(t.me.name)))]


@rule
def return_ping(ping: Ping, t: Arrived[Ping, None, Game]) -> Effects[Game, Ping | Pong]:
    """State: one turn more, of a new game if this is its first. Messages: the pong. Timers, engines: none."""
    game = Game() if ping.turn == 1 else t.env.state
    if ping.turn >= ping.turns:
        return game
    turn = ping.turn + 1
    return [Become(replace(game, took=(*game.took, turn))), Send(ping.striker, Pong(turn, ping.turns, Ref(t.me.name)))]


@rule
def return_pong(pong: Pong, t: Arrived[Pong, None, Game]) -> Effects[Game, Ping | Pong]:
    """State: one turn more. Messages: the next ping. Timers, engines: none."""
    game = t.env.state
    if pong.turn >= pong.turns:
        return []
    turn = pong.turn + 1
    return [Become(replace(game, took=(*game.took, turn))), Send(pong.striker, Ping(turn, pong.turns, Ref(t.me.name)))]


PLAYER = Family("player", state=Game(), accepts=Serve | Ping | Pong, emits=Ping | Pong).rules(
    serve, return_ping, return_pong
)
