"""An accepted message without a rule."""

from planted_words import Count, Limit, Ping, Pinged, Pong, Push

from engines.model import Effects, Family, Send, rule


@rule
def answer(ping: Ping, t: Pinged) -> Effects[Count, Pong]:
    return Send(ping.reply, Pong(ping.number))


# D: no rule takes Push
FAMILY = Family("message_nobody_takes", accepts=Ping | Push, emits=Pong, config=Limit, state=Count()).rules(answer)
