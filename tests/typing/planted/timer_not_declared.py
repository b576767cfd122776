"""A rule on a timer the family does not declare."""

from planted_words import TICK, Count, Limit, Ping, Pinged, Pong, Ticked

from engines.model import Effects, Family, Handle, Send, rule


@rule
def answer(ping: Ping, t: Pinged) -> Effects[Count, Pong]:
    return Send(ping.reply, Pong(ping.number))


@rule(timer=TICK)  # D: tick takes timer 'tick', which is missing from timers=
def tick(handle: Handle, t: Ticked) -> Count:
    return Count(t.env.state.number + 1)


FAMILY = Family("timer_not_declared", accepts=Ping, emits=Pong, config=Limit, state=Count()).rules(answer, tick)
