"""An answer taken for something else, and a time-out forgotten."""

from planted_words import Count, Limit, Ping, Pinged, Pong

from engines.model import Choose, Family, Interaction, interactive_rule


@interactive_rule
def answer(ping: Ping, t: Pinged) -> Interaction[Count, Pong]:
    points: int = yield from Choose(("one", "two"))  # E: assignment
    word = yield from Choose(("one", "two"), timeout_ns=5)
    return Count(points + len(word.upper()))  # E: union-attr


FAMILY = Family("answer_of_another_type", accepts=Ping, emits=Pong, config=Limit, state=Count()).rules(answer)
