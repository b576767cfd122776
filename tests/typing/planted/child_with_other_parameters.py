"""A child spawned with parameters of another family."""

from planted_words import Count, Limit, Ping, Pinged, Pong

from engines.model import Config, Effects, Family, Spawn, rule


class Size(Config):
    size: int


@rule
def answer(ping: Ping, t: Pinged) -> Effects[Count, Pong]:
    return Spawn(FAMILY, "child", Size(1))  # E: misc


FAMILY = Family("child_with_other_parameters", accepts=Ping, emits=Pong, config=Limit, state=Count()).rules(answer)
