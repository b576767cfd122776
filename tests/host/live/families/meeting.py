"""Engines that all greet each other, for tests of nodes in which everybody is linked with everybody."""

from __future__ import annotations

from engines.model import Arrived, Config, Effects, Family, Message, Ref, Send, Value, rule


class Hello(Message):
    """From one of the others."""


class Begin(Message):
    """Greet all others; `spread`: and have them do so too."""

    spread: bool


class Others(Config):
    to: tuple[Ref[Hello | Begin], ...]


class Heard(Value):
    count: int = 0


@rule
def hear(message: Hello, t: Arrived[Hello, Others, Heard]) -> Effects[Heard, Hello | Begin]:
    """State: one more. Messages, timers, engines: none."""
    return Heard(t.env.state.count + 1)


@rule
def greet(order: Begin, t: Arrived[Begin, Others, Heard]) -> Effects[Heard, Hello | Begin]:
    """Messages: to all others. State, timers, engines: none."""
    spread = [Send(other, Begin(False)) for other in t.config.to if order.spread]
    return [*spread, *(Send(other, Hello()) for other in t.config.to)]


GUEST = Family("guest", config=Others, accepts=Hello | Begin, emits=Hello | Begin, state=Heard()).rules(hear, greet)
