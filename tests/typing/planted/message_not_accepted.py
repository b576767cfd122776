"""A rule about a message the family does not accept."""

from planted_words import Count, Limit, Ping, Pinged, Pong

from engines.model import Arrived, Effects, Family, Send, rule


@rule
def answer(ping: Ping, t: Pinged) -> Effects[Count, Pong]:
    return Send(ping.reply, Pong(ping.number))


@rule  # D: stray is about Pong, which is missing from accepts=
def stray(pong: Pong, t: Arrived[Pong, Limit, Count]) -> Effects[Count, Pong]:
    return []


# E: arg-type
FAMILY = Family("message_not_accepted", accepts=Ping, emits=Pong, config=Limit, state=Count()).rules(answer, stray)
