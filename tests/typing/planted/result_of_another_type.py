"""A rule that returns something that is neither effects nor the state."""

from planted_words import Count, Limit, Name, Ping, Pinged, Pong, Push, Pushed

from engines.model import Effects, Family, Send, rule


@rule
def answer(ping: Ping, t: Pinged) -> Effects[Count, Pong]:
    return Send(ping.reply, Pong(ping.number))


@rule  # D: push returns Name, which is neither an effect nor the state
def push(push: Push, t: Pushed) -> Name:
    return Name("pushed")


FAMILY = Family("result_of_another_type", accepts=Ping | Push, emits=Pong, config=Limit, state=Count()).rules(
    answer,
    push,  # E: arg-type
)
