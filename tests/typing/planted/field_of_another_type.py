"""A message made with a value of another type."""

from planted_words import Count, Limit, Ping, Pinged, Pong

from engines.model import Effects, Family, Send, rule


@rule
def answer(ping: Ping, t: Pinged) -> Effects[Count, Pong]:
    return Send(ping.reply, Pong("one"))  # E: arg-type


FAMILY = Family("field_of_another_type", accepts=Ping, emits=Pong, config=Limit, state=Count()).rules(answer)
