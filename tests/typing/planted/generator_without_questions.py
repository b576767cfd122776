"""A generator as a plain rule."""

from collections.abc import Iterator

from planted_words import Count, Limit, Ping, Pinged, Pong, Push, Pushed

from engines.model import Effects, Family, Send, rule


@rule
def answer(ping: Ping, t: Pinged) -> Effects[Count, Pong]:
    return Send(ping.reply, Pong(ping.number))


@rule  # D: push is a generator; use @interactive_rule
def push(push: Push, t: Pushed) -> Iterator[Count]:
    yield Count(push.number)


FAMILY = Family("generator_without_questions", accepts=Ping | Push, emits=Pong, config=Limit, state=Count()).rules(
    answer,
    push,  # E: arg-type
)
