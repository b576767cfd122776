"""Two messages that look the same on the wire."""

from planted_words import Count, Limit, Ping, Pong

from engines.model import Arrived, Effects, Family, Message, rule


# D: two_messages_with_one_tag.Poke: another message has the tag 'Ping'
class Poke(Message, tag="Ping"):
    number: int


@rule
def answer(message: Ping | Poke, t: Arrived[Ping | Poke, Limit, Count]) -> Effects[Count, Pong]:
    return []


FAMILY = Family("two_messages_with_one_tag", accepts=Ping | Poke, emits=Pong, config=Limit, state=Count()).rules(answer)
