"""A rule that reads a field the message and the parameters do not have."""

from planted_words import Count, Limit, Ping, Pinged, Pong

from engines.model import Effects, Family, Send, rule


@rule
def answer(ping: Ping, t: Pinged) -> Effects[Count, Pong]:
    most = t.config.maximum  # E: attr-defined
    return Send(ping.reply, Pong(ping.amount + most))  # E: attr-defined


FAMILY = Family("field_that_is_not_there", accepts=Ping, emits=Pong, config=Limit, state=Count()).rules(answer)
