"""`aism message`: send to others, and read what they have sent."""

from __future__ import annotations

from host.aism.asking import (
    ask,
    count_argument,
    duration_argument,
    pairs_argument,
    text_argument,
    word_argument,
)
from host.aism.call import Call
from host.aism.output import Outcome
from host.aism.shown import messages
from host.aism.usage import Misuse


def send(call: Call) -> Outcome:
    """Send a message."""
    fields = pairs_argument(call.arguments.all("--field"), "--field")
    return ask(
        call,
        "message.send",
        {
            "to": word_argument(call, "to"),
            "text": text_argument(call.arguments["text"], "text") if "text" in call.arguments else None,
            "type": word_argument(call, "--type"),
            "fields": fields or None,
            "reply_to": word_argument(call, "--reply-to"),
            "conversation": word_argument(call, "--conversation"),
            "expires": duration_argument(call, "--expires"),
        },
    )


def read(call: Call) -> Outcome:
    """Read the inbox."""
    wait_ns = duration_argument(call, "--wait")
    fields = {
        "unread": True if "--unread" in call.arguments else None,
        "type": word_argument(call, "--type"),
        "from": word_argument(call, "--from"),
        "max": count_argument(call, "--max"),
        "wait": wait_ns,
        "peek": True if "--peek" in call.arguments else None,
    }
    return ask(call, "message.read", fields, (wait_ns or 0) / 1e9, shown=messages)


def ack(call: Call) -> Outcome:
    """Messages are dealt with."""
    return ask(call, "message.ack", {"ids": call.arguments.all("id")})


def refuse(call: Call) -> Outcome:
    """Give a message back."""
    reason = text_argument(call.arguments["--reason"], "--reason")
    if not reason:
        raise Misuse("--reason is empty")
    return ask(call, "message.refuse", {"id": word_argument(call, "id"), "reason": reason})


def thread(call: Call) -> Outcome:
    """The messages of a conversation."""
    fields = {"conversation": word_argument(call, "conversation"), "after": word_argument(call, "--after")}
    return ask(call, "message.thread", fields, shown=messages)
