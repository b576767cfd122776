"""An engine that passes messages on to whom it is told."""

from __future__ import annotations

from counting import Add

from engines.model import Arrived, Effects, Family, Message, Ref, Send, Value, rule


class Pass(Message):
    to: Ref[Add]


class Nothing(Value):
    pass


@rule
def pass_on(message: Pass, t: Arrived[Pass, None, Nothing]) -> Effects[Nothing, Add]:
    """Messages: one. State, timers, engines: none."""
    return [Send(message.to, Add())]


RELAY = Family("relay", state=Nothing(), accepts=Pass, emits=Add).rules(pass_on)
