"""A state that cannot be told from a list of effects."""

from planted_words import Limit, Ping, Pong

from engines.model import Arrived, Effects, Family, rule


@rule
def answer(ping: Ping, t: Arrived[Ping, Limit, tuple[int, ...]]) -> Effects[tuple[int, ...], Pong]:
    return (ping.number,)


FAMILY = Family(  # D: a tuple cannot be a state
    "state_that_is_a_tuple", accepts=Ping, emits=Pong, config=Limit, state=(1,), states=tuple[int, ...]
).rules(answer)
