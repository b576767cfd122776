"""A rule that sends a message the family does not emit."""

from planted_words import Count, Limit, Ping, Pinged, Pong, Push, Pushed

from engines.model import Effects, Family, Ref, Send, rule


@rule
def answer(ping: Ping, t: Pinged) -> Effects[Count, Pong]:
    return Send(ping.reply, Pong(ping.number))


@rule  # D: push sends Push, which is missing from emits=
def push(push: Push, t: Pushed) -> Effects[Count, Push]:
    return Send(Ref("other"), push)


# E: arg-type
FAMILY = Family("message_not_emitted", accepts=Ping | Push, emits=Pong, config=Limit, state=Count()).rules(answer, push)
