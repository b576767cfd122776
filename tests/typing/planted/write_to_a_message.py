"""An action that writes to what it received."""

from planted_words import Count, Limit, Ping, Pinged, Pong

from engines.model import Effects, Family, Send, rule


@rule
def answer(ping: Ping, t: Pinged) -> Effects[Count, Pong]:
    ping.number = 3  # E: misc
    return Send(ping.reply, Pong(ping.number))


FAMILY = Family("write_to_a_message", accepts=Ping, emits=Pong, config=Limit, state=Count()).rules(answer)
