"""A rule without annotations, so that nobody knows what it is about."""

from planted_words import Count, Limit, Ping, Pinged, Pong

from engines.model import Effects, Family, Send, rule


@rule
def answer(ping: Ping, t: Pinged) -> Effects[Count, Pong]:
    return Send(ping.reply, Pong(ping.number))


@rule  # D: push has no annotation for push, t, return
def push(push, t):  # E: no-untyped-def # noqa: ANN001, ANN201
    return []


FAMILY = Family("no_annotations", accepts=Ping, emits=Pong, config=Limit, state=Count()).rules(answer, push)
