"""`aism help`: the commands, and how one of them is called."""

from __future__ import annotations

from typing import Any

from host.aism.call import Call
from host.aism.output import Failure, Outcome, done
from host.aism.table import COMMANDS, Command, nearest
from host.aism.usage import parameters


def show(call: Call) -> Outcome:
    """All commands, or those that begin with the words of the topic."""
    topic = " ".join(call.arguments.all("topic"))
    found = [one for one in COMMANDS if f"{one.words} ".startswith(f"{topic} " if topic else "")]
    if not found:
        near = nearest(topic)
        raise Failure("unknown", "no_such_topic", f"no help about {topic!r}", suggestions=[near] if near else [])
    return done({"commands": [described(one) for one in found]}, listed(found))


def described(command: Command) -> dict[str, Any]:
    """A command for programs: its words, its parameters in order, and for whom it is."""
    return {
        "name": command.words,
        "usage": f"aism {command.words} {command.usage}".strip(),
        "summary": command.summary,
        "audience": command.audience,
        "parameters": [
            {"name": one.name, "value": one.value, "required": one.is_required, "repeated": one.is_repeated}
            for one in parameters(command.usage)
        ],
    }


def listed(commands: list[Command]) -> str:
    """The commands for people: a line of usage each, and below it what it does."""
    return "\n".join(f"aism {one.words} {one.usage}".strip() + f"\n    {one.summary}" for one in commands)
