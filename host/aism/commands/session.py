"""`aism session`: the session of the agent's program, and handing over to the next one."""

from __future__ import annotations

from typing import Any

from host.aism.asking import ask, object_argument, word_argument
from host.aism.call import Call
from host.aism.output import Outcome


def register(call: Call) -> Outcome:
    """With `--hook`, from the JSON object that a hook of the agent's program gets on standard input."""
    found: dict[str, Any] = object_argument("-", "standard input") if "--hook" in call.arguments else {}
    fields = {
        "session_id": word_argument(call, "--session-id") or _text(found, "session_id"),
        "transcript": word_argument(call, "--transcript") or _text(found, "transcript_path"),
        "model": word_argument(call, "--model") or _text(found, "model"),
        "source": _text(found, "source"),
    }
    return ask(call, "session.register", fields)


def handover(call: Call) -> Outcome:
    """Hand over by a file in the workspace."""
    return ask(call, "session.handover", {"file": word_argument(call, "--file")})


def status(call: Call) -> Outcome:
    """The session, and how full its context is."""
    return ask(call, "session.status")


def _text(found: dict[str, Any], name: str) -> str | None:
    value = found.get(name)
    return value if isinstance(value, str) else None
