"""Plain transition systems: a first state, and the steps of a state, without engines and messages. Pure.

For what is no system of engines but decides by pure functions: a protocol between processes, the plan of a supervisor.
The checker explores them as it explores engine systems. A module holds one under a name, or a function of keyword
parameters that returns one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Generic, NamedTuple, TypeVar

import msgspec

S = TypeVar("S")


class PlainStep(NamedTuple, Generic[S]):
    """A step to a state. `label` says what happens, for people; steps of one label are one and the same action.

    `is_owed`: fairness is owed to the action, so a run on which it can happen again and again has it happen. False for
    what nobody has to do: a fault, a choice of the world outside.
    """

    label: str
    state: S
    is_owed: bool = True


class TransitionSystem(msgspec.Struct, Generic[S], frozen=True, kw_only=True):
    """States and steps between them, and what holds of all runs; properties as for `System`, of the state itself.

    A state is a `Value`, or anything else that can be a field of one. States are equal if their fields are.

    Args:
        name: for people.
        initial: the first state. Where there are several, let the steps of one before them lead there.
        steps: all steps of a state. Pure. Those that change nothing do not count.
        symmetric: groups of names (texts in states) that can be exchanged for one another everywhere without changing
            the system. What has no order belongs in a `Map`, since a tuple keeps one.
    """

    name: str
    initial: S
    steps: Callable[[S], Iterable[PlainStep[S]]]
    always: Sequence[Callable[[S], bool]] = ()
    sometimes: Sequence[Callable[[S], bool]] = ()
    eventually: Sequence[Callable[[S], bool]] = ()
    leads_to: Sequence[tuple[Callable[[S], bool], Callable[[S], bool]]] = ()
    symmetric: Sequence[Sequence[str]] = ()


AnyTransitionSystem = TransitionSystem[Any]
