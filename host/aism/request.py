"""What most commands do: put an operation, whose fields are the arguments of the call.

A field is the argument of its name, or the option (`reply_to` is --reply-to), but for those in `CALLED`; `OPERATIONS`
says of what kind it is. So such a command has no code: its row in the table names the operation.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

from engines.agents.names import TYPE_CHECKING
from engines.agents.operations import OPERATIONS
from host.aism.asking import (
    Shown,
    ask,
    count_argument,
    duration_argument,
    object_argument,
    pairs_argument,
    text_argument,
    value_argument,
    word_argument,
)
from host.aism.call import Call
from host.aism.output import Outcome

if TYPE_CHECKING:
    from typing import Any, Final

CALLED: Final = {
    "count": "-n",
    "version": "--version-of",
    "ids": "id",
    "agents": "agent",
    "fields": "--field",
    "values": "field",
}
"""The arguments that are called otherwise than their fields."""

PAIRS: Final = ("fields", "values")
"""The objects that are given as NAME=VALUE each."""

TEXTS: Final = ("reason", "text")
"""The texts that may be in a file, or come from standard input."""

READERS: Final[dict[str, Callable[[str, str], Any]]] = {
    "text": word_argument,
    "count": count_argument,
    "duration": duration_argument,
    "object": object_argument,
    "value": value_argument,
}
"""What makes a field of a word, by the kind of the field."""

SHOWN: Final = {
    "state.current": "shown:state",
    "state.transition": "shown:state",
    "state.can": "shown:state",
    "state.history": "shown:history_table",
    "override.takeover": "shown:state",
    "override.release": "shown:state",
    "override.force": "shown:state",
    "message.read": "shown:messages",
    "message.thread": "shown:messages",
    "measure.self": "measured:of_agent",
    "measure.system": "measured:of_system",
    "measure.peers": "measured:of_peers",
    "agent.list": "shown:agents",
}
"""The answers that have a form for people, and the function that makes it."""


def request(call: Call, op: str, **made: Any) -> Outcome:
    """Put an operation. `made` are the fields that the command has made itself. Raises Failure, Misuse."""
    fields = fields_of(call, op, **made)
    wait_ns = fields.get("wait") or fields.get("timeout") or 0
    return ask(call, op, fields, wait_ns / 1e9, _shown(op) if not call.options.is_json else None)


def fields_of(call: Call, op: str, **made: Any) -> dict[str, Any]:
    """The fields of an operation: those of `made`, and the others from the call, None if it says nothing of one."""
    kinds = {field.removesuffix("?"): kind for field, kind in OPERATIONS[op].fields.items()}
    return {field: _read(call, field, kind) for field, kind in kinds.items() if field not in made} | made


def names_of(field: str) -> tuple[str, ...]:
    """What an argument is called that is this field."""
    return field, f"--{field.replace('_', '-')}", CALLED.get(field, "")


def _read(call: Call, field: str, kind: str) -> Any:
    if field == "expect_seq":
        return call.options.expect_seq
    name = next((one for one in names_of(field) if one in call.arguments), None)
    if name is None:
        return None
    if kind == "bool":
        return True
    if kind == "texts":
        return call.arguments.all(name)
    if field in PAIRS:
        return pairs_argument(call.arguments.all(name), name)
    reader = text_argument if field in TEXTS else READERS[kind]
    return reader(call.arguments[name], name)


def _shown(op: str) -> Shown | None:
    """The form of an answer for people. It is imported only for people."""
    module, _, name = SHOWN.get(op, "").partition(":")
    shown: Shown | None = getattr(import_module(f"host.aism.{module}"), name) if module else None
    return shown
