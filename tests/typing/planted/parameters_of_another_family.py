"""A rule that reads parameters the family does not have."""

from planted_words import Count, Limit, Ping, Pinged, Pong, Push

from engines.model import Arrived, Config, Effects, Family, Send, rule


@rule
def answer(ping: Ping, t: Pinged) -> Effects[Count, Pong]:
    return Send(ping.reply, Pong(ping.number))


class Size(Config):
    size: int


@rule  # D: push reads parameters Size; parameters_of_another_family has Limit
def push(push: Push, t: Arrived[Push, Size, Count]) -> Count:
    return Count(t.config.size)


FAMILY = Family("parameters_of_another_family", accepts=Ping | Push, emits=Pong, config=Limit, state=Count()).rules(
    answer,
    push,  # E: arg-type
)
