"""A token that is passed on: plain transition systems for `test_plain`, and some that are none."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from engines.model import Map, Value
from engines.model.transition_system import PlainStep, TransitionSystem


class Tokens(Value):
    """Who holds a token, and how often it was passed on."""

    holders: Map[str, int]
    passed: int = 0


def steps(state: Tokens) -> Iterator[PlainStep[Tokens]]:
    """A holder passes its token on to anybody else; the third time it may double it."""
    for giver, count in state.holders.items():
        for taker in state.holders:
            if count and taker != giver:
                left = state.holders.set(giver, count - 1)
                passed = min(3, state.passed + 1)
                yield PlainStep(f"{giver} to {taker}", Tokens(left.set(taker, left[taker] + 1), passed))
                if state.passed == 2:
                    yield PlainStep(f"{giver} doubles", Tokens(left.set(taker, left[taker] + 2), 3), False)


def one_token(state: Tokens) -> bool:
    """There is one token."""
    return sum(state.holders.values()) == 1


def thrice(state: Tokens) -> bool:
    """It was passed on three times."""
    return state.passed == 3


def held_by_b(state: Tokens) -> bool:
    """B has it."""
    return state.holders["b"] > 0


def doubled(state: Tokens) -> bool:
    """There is more than one."""
    return not one_token(state)


NAMES = ("a", "b", "c")


def tokens(names: tuple[str, ...] = NAMES, **claims: Any) -> TransitionSystem[Tokens]:
    """A token among some; the first one has it."""
    return TransitionSystem(
        name="tokens", initial=Tokens(Map((name, int(name == "a")) for name in names)), steps=steps, **claims
    )


RIGHT = tokens(sometimes=[thrice], eventually=[thrice], symmetric=[NAMES[1:]])
DOUBLED = tokens(always=[one_token])
FAIR = tokens(eventually=[held_by_b])
FREE = tokens(eventually=[doubled])
RAISES = TransitionSystem(name="raises", initial=Tokens(Map()), steps=lambda state: [1 // 0])
NO_STEPS = TransitionSystem(name="no steps", initial=Tokens(Map()), steps=lambda state: [("label", state)])
NO_VALUE = TransitionSystem(name="no value", initial=object(), steps=lambda state: [])
