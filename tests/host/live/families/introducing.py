"""A parent that tells somebody else of the last of many children as soon as it is spawned, one child a cycle."""

from __future__ import annotations

from typing import Never

from engines.model import Arrived, Become, Effects, Family, Message, Numbered, Ref, Send, Spawn, Value, rule


class Greeting(Message):
    pass


class Meet(Message):
    """Greet an engine."""

    whom: Ref[Greeting]


class Breed(Message):
    """Spawn so many children, each but the first once `pacer` said so, and have `guest` meet the last."""

    count: int
    guest: Ref[Meet]
    pacer: Ref[Pace]


class Pace(Message):
    """Send this back."""

    to: Ref[Breed]
    order: Breed


WORD = Numbered("c")


class Count(Value):
    total: int = 0


@rule
def greeted(m: Greeting, t: Arrived[Greeting, None, Count]) -> Effects[Count, Never]:
    return Count(t.env.state.total + 1)


CHILD = Family("child", accepts=Greeting, state=Count()).rules(greeted)


@rule
def breed(m: Breed, t: Arrived[Breed, None, Count]) -> Effects[Count, Meet | Pace]:
    """Engines: one child. Messages: the next order, or an introduction of the last child. State, timers: none."""
    child = t.child(WORD)
    if m.count == 1:
        return [Spawn(CHILD, WORD), Send(m.guest, Meet(child))]
    return [Spawn(CHILD, WORD), Send(m.pacer, Pace(Ref(t.me.name), Breed(m.count - 1, m.guest, m.pacer)))]


PARENT = Family("parent", accepts=Breed, emits=Meet | Pace, spawns=[CHILD], state=Count()).rules(breed)


@rule
def pace(m: Pace, t: Arrived[Pace, None, Count]) -> Effects[Count, Breed]:
    return [Send(m.to, m.order)]


PACER = Family("pacer", accepts=Pace, emits=Breed, state=Count()).rules(pace)


@rule
def meet(m: Meet, t: Arrived[Meet, None, Count]) -> Effects[Count, Greeting]:
    return [Become(Count(t.env.state.total + 1)), Send(m.whom, Greeting())]


GUEST = Family("guest", accepts=Meet, emits=Greeting, state=Count()).rules(meet)
