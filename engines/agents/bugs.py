"""Bugs put into the families, to see that a check finds them: changes to the effects by which a request is served."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from functools import wraps
from typing import Any, Final, TypeAlias

from msgspec.structs import replace

from engines.model import Arrived, Become, Effects, Family, Map, Ref, Send, Sent, Value, rule
from engines.model.declaration import UNLOADED
from engines.model.rule import Rule

from .measuring.state import Gauges
from .messages import AgentAnswer, SendFor

AnyFamily: TypeAlias = Family[Any, Any, Any, Any]
Change: TypeAlias = Callable[[list[Any]], list[Any]]


def with_bug(family: AnyFamily, change: Change) -> AnyFamily:
    """The family, with a change to what its rule `serve` returns."""

    def changed(one: Rule[Any, Any, Any, Any]) -> Rule[Any, Any, Any, Any]:
        if one.name != "serve":
            return one
        return Rule(wraps(one.action)(lambda request, t: change(one.action(request, t))), name=one.name)

    twin = copy(family).rules(*map(changed, family.rule_list))
    twin.loaded("", UNLOADED, ())
    return twin


def answer_first(effects: list[Any]) -> list[Any]:
    """The answer leaves, and what it is about is not recorded."""
    return [one for one in effects if not isinstance(one, Become)]


def forget(effects: list[Any]) -> list[Any]:
    """Answers are not kept, so a request that comes again is done again."""
    return [Become(replace(one.state, answers=Map())) if isinstance(one, Become) else one for one in effects]


def order_twice(effects: list[Any]) -> list[Any]:
    """The router gets each order for a message twice."""
    return [one for one in effects for _ in range(1 + (isinstance(one, Sent) and isinstance(one.message, SendFor)))]


def answer_by_measurement(effects: list[Any]) -> list[Any]:
    """Answers go to measurement, which has to pass them on."""
    return [
        Send(Ref("measurement"), one.message) if isinstance(one, Sent) and isinstance(one.message, AgentAnswer) else one
        for one in effects
    ]


class Passing(Value):
    """State of a measurement that passes answers on: none."""


@rule
def pass_on(answer: AgentAnswer, _t: Arrived[AgentAnswer, Gauges, Passing]) -> Effects[Passing, AgentAnswer]:
    """State: none. Messages: the answer, to its agent. Timers, engines: none."""
    return Send(Ref(answer.agent), answer)


PASSING: Final = Family("measurement", config=Gauges, state=Passing(), accepts=AgentAnswer, emits=AgentAnswer).rules(
    pass_on
)

CHANGES: Final[dict[str, Change]] = {
    "answer-first": answer_first,
    "forgetful": forget,
    "doubled": order_twice,
    "waiting": answer_by_measurement,
}
