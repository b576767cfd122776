"""A reference passed on as one that takes more than it does."""

from planted_words import Count, Limit, Ping, Pinged, Pong, Push

from engines.model import Effects, Family, Message, Ref, Send, rule


class Ask(Message):
    reply: Ref[Pong | Push]


@rule
def answer(ping: Ping, t: Pinged) -> Effects[Count, Ask]:
    return Send(Ref("other"), Ask(ping.reply))  # E: arg-type


FAMILY = Family("reference_of_another_type", accepts=Ping, emits=Ask, config=Limit, state=Count()).rules(answer)
