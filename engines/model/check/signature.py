"""The content of a rule's annotations: its trigger, its match, its result. Read once, when a family is
completed."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any, NamedTuple, get_args, get_origin, get_type_hints

from ..forms import members
from ..rule import Rule


class SignatureError(Exception):
    """An annotation is missing or wrong; the text says which, and what is expected."""


class Signature(NamedTuple):
    """Annotations of an action (or guard): the match (None in a guard), the trigger, the result."""

    match: Any
    trigger: Any
    returns: Any


def action_signature(rule: Rule[Any, Any, Any, Any]) -> Signature:
    """The annotations of a rule's action; `returns` of an interactive one is the return type of its generator."""
    if rule.hints is not None:
        known: Signature = rule.hints
        return known
    match, trigger, returns = _annotations(rule.action, 2)
    if rule.interactive:
        parts = get_args(returns)
        if get_origin(returns) is not Generator or len(parts) != 3:
            raise SignatureError(f"{_name(rule.action)} is interactive: it returns Interaction[S, M]")
        returns = parts[2]
    found = rule.hints = Signature(match, trigger, returns)
    return found


def guard_signature(rule: Rule[Any, Any, Any, Any]) -> Signature:
    """The annotations of a rule's guard, which it must have."""
    assert rule.guard is not None
    trigger, returns = _annotations(rule.guard, 1)
    return Signature(None, trigger, returns)


def rule_messages(rule: Rule[Any, Any, Any, Any]) -> tuple[type[Any], ...]:
    """The message types a rule is about; none for a rule on a timer. Raises SignatureError."""
    if rule.messages is not None:
        return rule.messages
    if rule.timer is not None:
        return ()
    trigger = action_signature(rule).trigger
    return members(trigger_parts(trigger, "Arrived", rule.action)[0])


def trigger_parts(trigger: Any, expected: str, function: Callable[..., Any]) -> tuple[Any, ...]:
    """The type arguments of `Arrived[M, C, S]` or `Elapsed[C, S]`."""
    origin = get_origin(trigger)
    shape = {"Arrived": "Arrived[M, C, S]", "Elapsed": "Elapsed[C, S]"}[expected]
    if getattr(origin, "__name__", "") != expected:
        found = getattr(origin or trigger, "__name__", str(trigger))
        raise SignatureError(f"{_name(function)} takes {shape} as its trigger, not {found}")
    return get_args(trigger)


def _annotations(function: Callable[..., Any], parameters: int) -> tuple[Any, ...]:
    """The annotations of this many positional parameters, then the result's."""
    function = getattr(function, "__func__", function)
    code = getattr(function, "__code__", None)
    if code is None:
        raise SignatureError(f"{function!r} is no function written in Python")
    bound = 1 if code.co_varnames[:1] == ("self",) else 0
    names = code.co_varnames[bound : code.co_argcount]
    if len(names) != parameters:
        wanted = "the match and the trigger" if parameters == 2 else "the trigger"
        raise SignatureError(f"{_name(function)} takes {wanted}, not {len(names)} parameters")
    try:
        hints = get_type_hints(function, include_extras=True)
    except Exception as error:
        raise SignatureError(f"an annotation of {_name(function)} cannot be read at run time: {error}") from None
    missing = [name for name in (*names, "return") if name not in hints]
    if missing:
        raise SignatureError(f"{_name(function)} has no annotation for {', '.join(missing)}")
    return (*(hints[name] for name in names), hints["return"])


def _name(function: Callable[..., Any]) -> str:
    return getattr(function, "__name__", repr(function))
