"""A broadcast: an engine that learns the value passes it on to all peers, once. So all get it, and traffic ends."""

from __future__ import annotations

from engines.model import Arrived, Become, Config, Effects, Family, Message, Ref, Send, Value, rule


class Peers(Config):
    """The peers to which an engine passes the value on."""

    peers: tuple[Ref[Tell], ...]


class Announce(Message):
    """From outside: send the peers the value held."""


class Tell(Message):
    """The value, passed on."""

    value: int


class Held(Value):
    """State: the value, once it is known."""

    value: int | None = None


def holds(t: Arrived[Announce, Peers, Held]) -> int | None:
    """The value, if there is one to announce."""
    return t.env.state.value


@rule(when=holds)
def announce(value: int, t: Arrived[Announce, Peers, Held]) -> Effects[Held, Tell]:
    """State: none. Messages: the value, to all peers. Timers, engines: none."""
    return [Send(peer, Tell(value)) for peer in t.config.peers]


def is_news(t: Arrived[Tell, Peers, Held]) -> Held | None:
    """The value, if none is held."""
    return Held(t.message.value) if t.env.state.value is None else None


@rule(when=is_news)
def pass_on(news: Held, t: Arrived[Tell, Peers, Held]) -> Effects[Held, Tell]:
    """State: the value is held. Messages: the value, to all peers. Timers, engines: none."""
    return [Become(news), *(Send(peer, t.message) for peer in t.config.peers)]


@rule(priority=1)
def know(_tell: Tell, _t: Arrived[Tell, Peers, Held]) -> Effects[Held, Tell]:
    """Known already. State, messages, timers, engines: none."""
    return []


PEER = Family("broadcast-peer", config=Peers, state=Held(), accepts=Announce | Tell, emits=Tell).rules(
    announce, pass_on, know
)
