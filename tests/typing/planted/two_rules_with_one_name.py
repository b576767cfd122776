"""Two rules under one label."""

from planted_words import Count, Limit, Ping, Pinged, Pong, Push, Pushed

from engines.model import Effects, Family, Send, rule


@rule  # D: another rule is named 'answer'
def answer(ping: Ping, t: Pinged) -> Effects[Count, Pong]:
    return Send(ping.reply, Pong(ping.number))


@rule(name="answer")  # D: another rule is named 'answer'
def push(push: Push, t: Pushed) -> Count:
    return Count(push.number)


FAMILY = Family("two_rules_with_one_name", accepts=Ping | Push, emits=Pong, config=Limit, state=Count()).rules(
    answer, push
)
