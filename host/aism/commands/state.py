"""`aism state`, `aism context`, `aism heartbeat`: where the agent is, and where it may go."""

from __future__ import annotations

from host.aism.asking import (
    ask,
    count_argument,
    object_argument,
    pairs_argument,
    text_argument,
    word_argument,
)
from host.aism.call import Call
from host.aism.output import Outcome
from host.aism.shown import history_table, state
from host.aism.usage import Misuse


def current(call: Call) -> Outcome:
    """State, context, moves."""
    return ask(call, "state.current", shown=state)


def transition(call: Call) -> Outcome:
    """Move."""
    context = call.arguments.get("--context")
    fields = {
        "target": word_argument(call, "target"),
        "event": word_argument(call, "--event"),
        "context": object_argument(context, "--context") if "--context" in call.arguments else None,
        "reason": text_argument(call.arguments["--reason"], "--reason") if "--reason" in call.arguments else None,
        "expect_seq": call.options.expect_seq,
    }
    if not fields["target"] and not fields["event"]:
        raise Misuse("a transition needs a target, or --event")
    return ask(call, "state.transition", fields, shown=state)


def can(call: Call) -> Outcome:
    """What is possible; nothing is changed."""
    return ask(call, "state.can", {"target": word_argument(call, "target")}, shown=state)


def history(call: Call) -> Outcome:
    """The last moves."""
    fields = {"count": count_argument(call, "-n"), "before": count_argument(call, "--before")}
    return ask(call, "state.history", fields, shown=history_table)


def wait(call: Call) -> Outcome:
    """Until the state changes or the condition holds; the time limit is the engine's too."""
    fields = {
        "until": word_argument(call, "--until"),
        "change": "--until" not in call.arguments,
        "timeout": int(call.options.timeout_s * 1e9),
    }
    return ask(call, "state.wait", fields, call.options.timeout_s)


def context_get(call: Call) -> Outcome:
    """The context, or one field."""
    return ask(call, "context.get", {"key": word_argument(call, "key")})


def context_set(call: Call) -> Outcome:
    """Set fields."""
    values = pairs_argument(call.arguments.all("field"), "field")
    return ask(call, "context.set", {"values": values, "expect_seq": call.options.expect_seq})


def heartbeat(call: Call) -> Outcome:
    """Say that the agent is alive."""
    return ask(call, "heartbeat")
