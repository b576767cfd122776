"""`aism measure`: what is measured, and values that the agent records."""

from __future__ import annotations

from host.aism.asking import ask, value_argument, word_argument
from host.aism.call import Call
from host.aism.measured import of_agent, of_peers, of_system
from host.aism.output import Outcome


def self_(call: Call) -> Outcome:
    """About the caller."""
    return ask(call, "measure.self", shown=of_agent)


def system(call: Call) -> Outcome:
    """About the whole."""
    return ask(call, "measure.system", shown=of_system)


def peers(call: Call) -> Outcome:
    """About the others."""
    return ask(call, "measure.peers", {"after": word_argument(call, "--after")}, shown=of_peers)


def record(call: Call) -> Outcome:
    """Record a value that the protocol declares."""
    value = value_argument(call.arguments["value"], "value")
    return ask(call, "measure.record", {"id": word_argument(call, "id"), "value": value})
