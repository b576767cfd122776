"""A rule behind one that always holds."""

from planted_words import Count, Limit, Ping, Pinged, Pong

from engines.model import Effects, Family, Send, rule


@rule
def answer(ping: Ping, t: Pinged) -> Effects[Count, Pong]:
    return Send(ping.reply, Pong(ping.number))


@rule(priority=1)  # D: again is never reached: answer always holds, at a lower priority number
def again(ping: Ping, t: Pinged) -> Effects[Count, Pong]:
    return []


FAMILY = Family("unreachable_rule", accepts=Ping, emits=Pong, config=Limit, state=Count()).rules(answer, again)
