"""An action without a guard whose match is not the message."""

from planted_words import Count, Limit, Ping, Pinged, Pong, Push

from engines.model import Effects, Family, Send, rule


@rule  # D: answer has no guard, so its match is Ping, not Push
def answer(push: Push, t: Pinged) -> Effects[Count, Pong]:
    return Send(t.message.reply, Pong(push.number))


FAMILY = Family("match_without_a_guard", accepts=Ping, emits=Pong, config=Limit, state=Count()).rules(answer)
