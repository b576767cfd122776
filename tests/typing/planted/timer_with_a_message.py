"""A rule on a timer that takes a message."""

from planted_words import TICK, Count, Limit, Ping, Pinged, Pong

from engines.model import Effects, Family, Send, rule


@rule
def answer(ping: Ping, t: Pinged) -> Effects[Count, Pong]:
    return Send(ping.reply, Pong(ping.number))


@rule(timer=TICK)  # E: arg-type # D: tick takes Elapsed[C, S] as its trigger, not Arrived
def tick(ping: Ping, t: Pinged) -> Count:
    return Count(t.env.state.number + 1)


FAMILY = Family("timer_with_a_message", accepts=Ping, emits=Pong, config=Limit, state=Count(), timers=[TICK]).rules(
    answer, tick
)
