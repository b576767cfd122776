"""The family the others spoil."""

from planted_words import Count, Limit, Ping, Pinged, Pong, Push, Pushed

from engines.model import Effects, Family, Send, rule


@rule
def answer(ping: Ping, t: Pinged) -> Effects[Count, Pong]:
    return Send(ping.reply, Pong(ping.number))


@rule
def push(push: Push, t: Pushed) -> Count:
    return Count(t.env.state.number + push.number)


FAMILY = Family("nothing_wrong", accepts=Ping | Push, emits=Pong, config=Limit, state=Count()).rules(answer, push)
