"""A message sent to a reference that does not take it."""

from planted_words import Count, Limit, Ping, Pinged, Pong, Push

from engines.model import Effects, Family, Send, rule


@rule
def answer(ping: Ping, t: Pinged) -> Effects[Count, Pong | Push]:
    return Send(ping.reply, Push(ping.number))  # E: misc # E: no-any-return


FAMILY = Family("message_not_for_this_reference", accepts=Ping, emits=Pong | Push, config=Limit, state=Count()).rules(
    answer
)
