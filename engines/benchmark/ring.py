"""A token that goes round: what `bench ring` measures. One message is under way at any time, so it is all hand-over."""

from __future__ import annotations

from engines.model import Arrived, Config, Effects, Family, Message, Ref, Send, rule


class Token(Message):
    """`left` of `hops` are still to go since `began_ns`; `listener` gets the lap at the end."""

    left: int
    hops: int
    began_ns: int
    listener: Ref[Lap]


class Lap(Message):
    """`hops` took so long, by the clock of the node."""

    hops: int
    took_ns: int


class Start(Message):
    """Send a token on its way."""

    hops: int
    listener: Ref[Lap]


class Place(Config):
    """The next runner in the ring."""

    next: Ref[Token]


@rule
def hand_on(token: Token, t: Arrived[Token, Place, None]) -> Effects[None, Token | Lap]:
    """Messages: the token, to the next one, or how long all took. State, timers, engines: none."""
    left = token.left - 1
    if left:
        return Send(t.config.next, Token(left, token.hops, token.began_ns, token.listener))
    return Send(token.listener, Lap(token.hops, t.now_ns - token.began_ns))


@rule
def start(order: Start, t: Arrived[Start, Place, None]) -> Effects[None, Token | Lap]:
    """Messages: the token, to the next one. State, timers, engines: none."""
    return Send(t.config.next, Token(order.hops, order.hops, t.now_ns, order.listener))


RUNNER = Family("runner", config=Place, accepts=Token | Start, emits=Token | Lap).rules(hand_on, start)
