"""A guard whose result says that it always holds."""

from planted_words import Count, Limit, Ping, Pinged, Pong

from engines.model import Effects, Family, Send, rule


def any_ping(t: Pinged) -> Ping:  # D: the guard any_ping cannot say no
    return t.message


@rule(when=any_ping)
def answer(ping: Ping, t: Pinged) -> Effects[Count, Pong]:
    return Send(ping.reply, Pong(ping.number))


FAMILY = Family("guard_that_cannot_say_no", accepts=Ping, emits=Pong, config=Limit, state=Count()).rules(answer)
