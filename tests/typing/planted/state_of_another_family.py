"""A rule that reads and leaves a state the family does not have."""

from planted_words import Count, Limit, Name, Ping, Pinged, Pong, Push

from engines.model import Arrived, Effects, Family, Send, rule


@rule
def answer(ping: Ping, t: Pinged) -> Effects[Count, Pong]:
    return Send(ping.reply, Pong(ping.number))


@rule  # D: push leaves a state Name; # D: push reads a state Name;
def push(push: Push, t: Arrived[Push, Limit, Name]) -> Effects[Name, Pong]:
    return Name(t.env.state.text + "!")


FAMILY = Family("state_of_another_family", accepts=Ping | Push, emits=Pong, config=Limit, state=Count()).rules(
    answer,
    push,  # E: arg-type
)
