"""A ball between two engines: what `bench pingpong` measures.

The server strikes, waits for the return, and notes by its own clock how long it took; the wall only returns. Both run
a rule for each message, so a round trip is four transitions' worth of host and two wake-ups where receivers sleep.
"""

from __future__ import annotations

from engines.model import Arrived, Become, Effects, Family, Message, Ref, Send, Value, rule

CHUNK = 32
"""Times kept in one tuple; a longer one would make appending the larger part of the measurement."""


class Ball(Message):
    """From `striker`, which takes it back as `Return`."""

    striker: Ref[Return]


class Return(Message):
    """The ball comes back."""


class Rally(Message):
    """Times of all round trips, nanoseconds, in chunks."""

    taken_ns: tuple[tuple[int, ...], ...]


class Serve(Message):
    """Play `rounds` round trips against `wall` and report to `listener`."""

    rounds: int
    wall: Ref[Ball]
    listener: Ref[Rally]


class Terms(Value):
    """The constants of a game: the ball as it is struck, the wall, and the listener."""

    ball: Ball
    wall: Ref[Ball]
    listener: Ref[Rally]


class Game(Value):
    """Round trips left, when the ball left, and the times so far."""

    terms: Terms
    left: int
    struck_ns: int
    chunk: tuple[int, ...] = ()
    chunks: tuple[tuple[int, ...], ...] = ()


Returned = Arrived[Return, None, Game | None]


@rule
def serve(order: Serve, t: Arrived[Serve, None, Game | None]) -> Effects[Game | None, Ball | Rally]:
    """State: a new game. Messages: the first ball. Timers, engines: none."""
    terms = Terms(Ball(Ref(t.me.name)), order.wall, order.listener)
    return [Become(Game(terms, order.rounds, t.now_ns)), Send(order.wall, terms.ball)]


@rule
def strike(_ball: Return, t: Returned) -> Effects[Game | None, Ball | Rally]:
    """State: one round trip more. Messages: the next ball, or all times to the listener. Timers, engines: none."""
    game, now_ns = t.env.state, t.now_ns
    if game is None:
        return []
    chunk, chunks = (*game.chunk, now_ns - game.struck_ns), game.chunks
    if game.left == 1:
        return [Become(None), Send(game.terms.listener, Rally((*chunks, chunk)))]
    if len(chunk) == CHUNK:
        chunk, chunks = (), (*chunks, chunk)
    terms = game.terms
    return [Become(Game(terms, game.left - 1, now_ns, chunk, chunks)), Send(terms.wall, terms.ball)]


@rule
def give_back(ball: Ball, _t: Arrived[Ball, None, None]) -> Effects[None, Return]:
    """Messages: the ball, back to its striker. State, timers, engines: none."""
    return [Send(ball.striker, Return())]


SERVER = Family("pingpong-server", states=Game | None, state=None, accepts=Serve | Return, emits=Ball | Rally).rules(
    serve, strike
)
WALL = Family("pingpong-wall", accepts=Ball, emits=Return).rules(give_back)
