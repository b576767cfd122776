"""`aism state transition` and `wait`: what of an agent's state is more than a request."""

from __future__ import annotations

from host.aism.call import Call
from host.aism.output import Outcome
from host.aism.request import request
from host.aism.usage import Misuse


def transition(call: Call) -> Outcome:
    """Move."""
    if not (call.arguments.get("target") or call.arguments.get("--event")):
        raise Misuse("a transition needs a target, or --event")
    return request(call, "state.transition")


def wait(call: Call) -> Outcome:
    """Until the state changes or the condition holds; the time limit is the engine's too."""
    timeout_ns = int(call.options.timeout_s * 1e9)
    return request(call, "state.wait", change="--until" not in call.arguments, timeout=timeout_ns)
