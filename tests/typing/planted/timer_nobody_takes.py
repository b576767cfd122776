"""A declared timer without a rule."""

from planted_words import TICK, Count, Limit, Ping, Pinged, Pong

from engines.model import Effects, Family, Send, rule


@rule
def answer(ping: Ping, t: Pinged) -> Effects[Count, Pong]:
    return Send(ping.reply, Pong(ping.number))


# D: no rule takes timer 'tick'
FAMILY = Family("timer_nobody_takes", accepts=Ping, emits=Pong, config=Limit, state=Count(), timers=[TICK]).rules(
    answer
)
