"""A state that is one of two values the codec cannot tell apart."""

from planted_words import Count, Limit, Name, Ping, Pong

from engines.model import Arrived, Effects, Family, rule

State = Count | Name


@rule
def answer(ping: Ping, t: Arrived[Ping, Limit, State]) -> Effects[State, Pong]:
    return Name("pinged")


FAMILY = Family(  # D: the state cannot be read back
    "values_that_look_alike", accepts=Ping, emits=Pong, config=Limit, state=Count(), states=Count | Name
).rules(answer)
