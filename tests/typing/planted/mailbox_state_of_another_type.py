"""A mailbox given a state of another type."""

from planted_words import INBOX, Count, Either, Limit, Name, Ping, Pong, Push

from engines.model import Effects, Family, Put, rule


@rule
def answer(message: Ping | Push, t: Either) -> Effects[Count, Pong]:
    return Put(INBOX, Name("full"))  # E: misc


FAMILY = Family(
    "mailbox_state_of_another_type", accepts=Ping | Push, emits=Pong, config=Limit, state=Count(), boxes=[INBOX]
).rules(answer)
