"""A map whose keys are equal to others of another type."""

from planted_words import Limit, Ping, Pong

from engines.model import Arrived, Effects, Family, Map, Value, rule


class Flags(Value):
    by_flag: Map[bool, int] = Map()  # D: Flags.by_flag: bool is no key of a Map


@rule
def answer(ping: Ping, t: Arrived[Ping, Limit, Flags]) -> Effects[Flags, Pong]:
    return []


FAMILY = Family("keys_that_are_equal", accepts=Ping, emits=Pong, config=Limit, state=Flags()).rules(answer)
