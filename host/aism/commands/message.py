"""`aism message refuse`: the one command about messages that is more than a request."""

from __future__ import annotations

from host.aism.asking import text_argument
from host.aism.call import Call
from host.aism.output import Outcome
from host.aism.request import request
from host.aism.usage import Misuse


def refuse(call: Call) -> Outcome:
    """Give a message back."""
    reason = text_argument(call.arguments["--reason"], "--reason")
    if not reason:
        raise Misuse("--reason is empty")
    return request(call, "message.refuse", reason=reason)
