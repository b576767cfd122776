"""`aism protocol load`: a protocol file for the engine."""

from __future__ import annotations

import os

from host.aism.asking import text_argument
from host.aism.call import Call
from host.aism.output import Outcome
from host.aism.request import request


def load(call: Call) -> Outcome:
    """Register a version, and make it the current one."""
    path = call.arguments["file"]
    source = text_argument(path if path == "-" else f"@{path}", "file")
    is_current = "--draft" not in call.arguments
    return request(call, "protocol.load", source=source, file=os.path.basename(path), current=is_current)
