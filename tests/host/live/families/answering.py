"""An engine with two answers."""

from __future__ import annotations

from engines.model import Arrived, Effects, Family, Message, Ref, Send, rule


class Ask(Message):
    right: bool
    reply: Ref[Result | Wrong]


class Result(Message):
    value: int


class Wrong(Message):
    why: str


@rule
def answer(ask: Ask, t: Arrived[Ask, None, None]) -> Effects[None, Result | Wrong]:
    return Send(ask.reply, Result(7) if ask.right else Wrong("as asked"))


TWO = Family("two", state=None, accepts=Ask, emits=Result | Wrong).rules(answer)
