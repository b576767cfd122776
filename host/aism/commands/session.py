"""`aism session register`: the session of the agent's program."""

from __future__ import annotations

from typing import Any, Final

from host.aism.asking import ask, object_argument
from host.aism.call import Call
from host.aism.output import Outcome
from host.aism.request import fields_of

OF_HOOK: Final = {"session_id": "session_id", "transcript": "transcript_path", "model": "model", "source": "source"}
"""The fields, and what they are called in the object that a hook of the agent's program gets."""


def register(call: Call) -> Outcome:
    """With `--hook`, what the options leave out comes from the JSON object on standard input."""
    found: dict[str, Any] = object_argument("-", "standard input") if "--hook" in call.arguments else {}
    given = fields_of(call, "session.register")
    texts = {field: value for field, name in OF_HOOK.items() if isinstance(value := found.get(name), str)}
    return ask(call, "session.register", {field: given[field] or texts.get(field) for field in OF_HOOK})
