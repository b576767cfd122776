"""An action that takes another match than its guard gives."""

from planted_words import Count, Limit, Ping, Pinged, Pong

from engines.model import Effects, Family, Send, rule


def even(t: Pinged) -> int | None:
    return t.message.number if t.message.number % 2 == 0 else None


@rule(when=even)  # E: arg-type # D: answer takes a match str, its guard gives int | None
def answer(match: str, t: Pinged) -> Effects[Count, Pong]:
    return Send(t.message.reply, Pong(len(match)))


@rule(priority=1)
def odd(ping: Ping, t: Pinged) -> Effects[Count, Pong]:
    return []


FAMILY = Family("match_of_another_type", accepts=Ping, emits=Pong, config=Limit, state=Count()).rules(answer, odd)
