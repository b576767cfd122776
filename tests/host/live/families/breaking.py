"""A validator that fails on some requests, by which is seen that nobody else suffers."""

from __future__ import annotations

from typing import Final

from engines.agents.messages import AgentRequest, Together
from engines.agents.validation.records import Registry
from engines.agents.validation.validating import Made, Outward, Wiring
from engines.agents.validation.validator import (
    VALIDATOR,
    enrol,
    enter,
    hear,
    learn,
    look,
    resend,
    retire,
    serve,
    tell,
    wake,
)
from engines.model import Arrived, Family, rule

BREAKS: Final = "break the validator"


@rule
def serve_or_break(request: AgentRequest, t: Arrived[AgentRequest, Wiring, Registry]) -> Made:
    """As `serve`, unless the request has the words. Raises ZeroDivisionError then."""
    _look(request)
    made: Made = serve.action(request, t)
    return made


@rule
def hear_or_break(every: Together, t: Arrived[Together, Wiring, Registry]) -> Made:
    """As `hear`, unless a request has the words. Raises ZeroDivisionError then."""
    for one in every.messages:
        _look(one)
    made: Made = hear.action(every, t)
    return made


def _look(message: object) -> None:
    if isinstance(message, AgentRequest) and BREAKS in message.body:
        raise ZeroDivisionError(BREAKS)


BREAKING = Family(
    "validator", config=Wiring, state=Registry(), accepts=VALIDATOR.accepts, emits=Outward, timers=VALIDATOR.timers
).rules(serve_or_break, enrol, enter, retire, learn, wake, hear_or_break, resend, look, tell)
