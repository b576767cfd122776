"""A ball between two engines: what `bench pingpong` measures.

The server strikes, waits for the return, and notes by its own clock how long it took; the wall only returns. Both run
a rule for each message, so a round trip is four transitions' worth of host and two wake-ups where receivers sleep.
"""

from __future__ import annotations

from engines.model import Arrived, Become, Effects, Family, Message, Ref, Send, Value, rule

CHUNK = 32
"""Times kept in one tuple; a longer one would make appending the larger part of the measurement."""


class Ball(Message):
    """From `striker`, who takes it back as `Return`."""

    striker: Ref[Return]


class Return(Message):
    """The ball comes back."""


class Rally(Message):
    """Times of all round trips, nanoseconds, in chunks."""

    taken_ns: tuple[tuple[int, ...], ...]


class Serve(Message):
    """Play `rounds` round trips against `wall` and tell `listener`."""

    rounds: int
    wall: Ref[Ball]
    listener: Ref[Rally]


class Game(Value):
    """Round trips left, when the ball left, and the times so far."""

    left: int
    wall: Ref[Ball]
    listener: Ref[Rally]
    struck_ns: int
    chunk: tuple[int, ...] = ()
    chunks: tuple[tuple[int, ...], ...] = ()

    def with_time(self, taken_ns: int, now_ns: int) -> Game:
        """The game one round trip later."""
        chunk, chunks = (*self.chunk, taken_ns), self.chunks
        if len(chunk) == CHUNK:
            chunk, chunks = (), (*chunks, chunk)
        return Game(self.left - 1, self.wall, self.listener, now_ns, chunk, chunks)


@rule
def serve(order: Serve, t: Arrived[Serve, None, Game | None]) -> Effects[Game | None, Ball | Rally]:
    """State: a new game. Messages: the first ball. Timers, engines: none."""
    return [Become(Game(order.rounds, order.wall, order.listener, t.now_ns)), Send(order.wall, Ball(Ref(t.me.name)))]


@rule
def strike(_ball: Return, t: Arrived[Return, None, Game | None]) -> Effects[Game | None, Ball | Rally]:
    """State: one round trip more. Messages: the next ball, or all times to the listener. Timers, engines: none."""
    game = t.env.state
    if game is None:
        return []
    after = game.with_time(t.now_ns - game.struck_ns, t.now_ns)
    if after.left:
        return [Become(after), Send(game.wall, Ball(Ref(t.me.name)))]
    return [Become(None), Send(game.listener, Rally((*after.chunks, after.chunk)))]


@rule
def give_back(ball: Ball, _t: Arrived[Ball, None, None]) -> Effects[None, Return]:
    """Messages: the ball, back to who struck it. State, timers, engines: none."""
    return [Send(ball.striker, Return())]


SERVER = Family("pingpong-server", states=Game | None, state=None, accepts=Serve | Return, emits=Ball | Rally).rules(
    serve, strike
)
WALL = Family("pingpong-wall", accepts=Ball, emits=Return).rules(give_back)
