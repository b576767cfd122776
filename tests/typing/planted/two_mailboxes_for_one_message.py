"""Two mailboxes that accept the same message."""

from planted_words import INBOX, Count, Limit, Ping, Pinged, Pong, Push, Pushed

from engines.model import Box, Effects, Family, Send, rule


@rule
def answer(ping: Ping, t: Pinged) -> Effects[Count, Pong]:
    return Send(ping.reply, Pong(ping.number))


@rule
def push(push: Push, t: Pushed) -> Count:
    return Count(t.env.state.number + push.number)


SIDE = Box(1, accepts=Push)  # D: Push is taken by mailbox 0 already


FAMILY = Family(
    "two_mailboxes_for_one_message", accepts=Ping | Push, emits=Pong, config=Limit, state=Count(), boxes=[INBOX, SIDE]
).rules(answer, push)
