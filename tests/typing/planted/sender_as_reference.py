"""An answer to the sender, who is for authority: whether it takes the message nobody knows."""

from planted_words import Count, Limit, Ping, Pinged, Pong

from engines.model import Effects, Family, Send, rule


@rule
def answer(ping: Ping, t: Pinged) -> Effects[Count, Pong]:
    return Send(t.sender, Pong(ping.number))  # E: arg-type


FAMILY = Family("sender_as_reference", accepts=Ping, emits=Pong, config=Limit, state=Count()).rules(answer)
