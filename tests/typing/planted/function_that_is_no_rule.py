"""A plain function among the rules."""

from planted_words import Count, Limit, Ping, Pinged, Pong, Push, Pushed

from engines.model import Effects, Family, Send, rule


@rule
def answer(ping: Ping, t: Pinged) -> Effects[Count, Pong]:
    return Send(ping.reply, Pong(ping.number))


def push(push: Push, t: Pushed) -> Count:
    return Count(push.number)


# D: not a rule, decorate it with @rule: push
FAMILY = Family("function_that_is_no_rule", accepts=Ping | Push, emits=Pong, config=Limit, state=Count()).rules(
    answer,
    push,  # E: arg-type
)
