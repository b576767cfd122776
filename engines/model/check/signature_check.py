"""The annotations of rules against the types of their family."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final, Never, get_args, get_origin

from ..effects import EFFECTS, Become
from ..environment import Handle
from ..forms import bare, is_union, may_be_none, members
from ..place import Place, of_function
from ..rule import Rule
from ..sending import Sent
from .signature import SignatureError, action_signature, guard_signature, trigger_parts

if TYPE_CHECKING:
    from ..family_types import FamilyTypes

Found = tuple[Place, str]

# Flags of code objects, as the language reference numbers them; `inspect` has names for them and costs 10 ms.
CO_GENERATOR: Final = 0x20
CO_COROUTINE: Final = 0x80
CO_ASYNC_GENERATOR: Final = 0x200


def signature_problems(family: FamilyTypes[Any, Any, Any, Any], rule: Rule[Any, Any, Any, Any]) -> Iterator[Found]:
    """What is wrong with the annotations of a rule's action and guard; rules made by other code have none to check."""
    if rule.messages is not None:
        return
    yield from _kind_problems(rule)
    try:
        match, trigger, returns = action_signature(rule)
        yield from _trigger_problems(family, rule, trigger, rule.place, rule.action)
        yield from _result_problems(family, rule, returns)
        if rule.guard is None:
            yield from _unguarded_problems(rule, match, trigger)
    except SignatureError as error:
        yield rule.place, str(error)
        return
    if rule.guard is not None:
        yield from _guard_problems(family, rule, match, trigger)


def _kind_problems(rule: Rule[Any, Any, Any, Any]) -> Iterator[Found]:
    """Functions of the wrong kind for a rule."""
    flags = getattr(getattr(rule.action, "__code__", None), "co_flags", 0)
    if flags & (CO_COROUTINE | CO_ASYNC_GENERATOR):
        yield rule.place, f"{rule.name} is asynchronous; an action is a plain function"
    elif rule.interactive != bool(flags & CO_GENERATOR):
        wanted = "yields nothing; use @rule" if rule.interactive else "is a generator; use @interactive_rule"
        yield rule.place, f"{rule.name} {wanted}"
    guard_flags = getattr(getattr(rule.guard, "__code__", None), "co_flags", 0)
    if rule.guard is not None and guard_flags & (CO_COROUTINE | CO_ASYNC_GENERATOR | CO_GENERATOR):
        yield of_function(rule.guard), f"the guard of {rule.name} must be a plain function"


def _trigger_problems(
    family: FamilyTypes[Any, Any, Any, Any], rule: Rule[Any, Any, Any, Any], trigger: Any, place: Place, function: Any
) -> Iterator[Found]:
    """Check `Arrived[M, C, S]` or `Elapsed[C, S]` against accepted messages, parameters and state."""
    parts = trigger_parts(trigger, "Elapsed" if rule.timer is not None else "Arrived", function)
    name = getattr(function, "__name__", repr(function))
    if rule.timer is None:
        for kind in members(parts[0]):
            if kind not in family.accepts_types and kind is not Any:
                yield place, f"{name} is about {_name(kind)}, which is missing from accepts="
    config, state = parts[-2:]
    if _differs(config, family.config):
        yield place, f"{name} reads parameters {_name(config)}; {family.name} has {_name(family.config)}"
    if _differs(state, family.states):
        yield place, f"{name} reads a state {_name(state)}; {family.name} has {_name(family.states)}"


def _unguarded_problems(rule: Rule[Any, Any, Any, Any], match: Any, trigger: Any) -> Iterator[Found]:
    """Without a guard the match is the message or the timer's handle."""
    wanted = Handle if rule.timer is not None else get_args(trigger)[0]
    if _differs(match, wanted):
        yield rule.place, f"{rule.name} has no guard, so its match is {_name(wanted)}, not {_name(match)}"


def _guard_problems(
    family: FamilyTypes[Any, Any, Any, Any], rule: Rule[Any, Any, Any, Any], match: Any, trigger: Any
) -> Iterator[Found]:
    assert rule.guard is not None
    place, name = of_function(rule.guard), getattr(rule.guard, "__name__", repr(rule.guard))
    try:
        _, guarded, returns = guard_signature(rule)
        yield from _trigger_problems(family, rule, guarded, place, rule.guard)
    except SignatureError as error:
        yield place, str(error)
        return
    if returns in (None, type(None)):
        yield place, f"the guard {name} never holds: it returns None only"
    elif returns is not Any and not may_be_none(returns):
        yield place, f"the guard {name} cannot say no: its result is `{_name(returns)} | None`, or it is no guard"
    elif returns is not Any and not _covers(match, returns):
        yield rule.place, f"{rule.name} takes a match {_name(match)}, its guard gives {_name(returns)}"
    if rule.timer is None and not set(members(get_args(trigger)[0])) <= set(members(get_args(guarded)[0])):
        yield place, f"the guard {name} is not about every message of {rule.name}"


def _result_problems(
    family: FamilyTypes[Any, Any, Any, Any], rule: Rule[Any, Any, Any, Any], returns: Any
) -> Iterator[Found]:
    """Check an action's declared result: its messages are among the emitted ones, its state is the family's."""
    parts = list(_alternatives(returns))
    declared = any(get_origin(part) is Become for part in parts)
    for part in parts:
        origin, inner = get_origin(part), get_args(part)
        if origin is Sent:
            for kind in members(inner[0]):
                if kind not in family.emits_types and kind is not Any:
                    yield rule.place, f"{rule.name} sends {_name(kind)}, which is missing from emits="
        elif origin is Become and inner[0] is not Never and _differs(inner[0], family.states):
            yield rule.place, f"{rule.name} leaves a state {_name(inner[0])}; {family.name} has {_name(family.states)}"
        elif not declared and origin is None and part not in (*EFFECTS, *family.state_types, Never, Any):
            yield rule.place, f"{rule.name} returns {_name(part)}, which is neither an effect nor the state"


def _alternatives(returns: Any) -> Iterator[Any]:
    """The effects inside a result's annotation, those of a sequence too."""
    for part in members(returns):
        if get_origin(part) is not None and get_origin(part) not in (Sent, Become) and get_args(part):
            for inner in get_args(part):
                yield from _alternatives(inner)
        else:
            yield part


def _differs(found: Any, wanted: Any) -> bool:
    """Whether two forms surely differ; Any agrees with everything."""
    if found is Any or wanted is Any:
        return False
    return set(members(found)) != set(members(wanted)) or may_be_none(found) != may_be_none(wanted)


def _covers(match: Any, returns: Any) -> bool:
    """Whether a guard's result, apart from None, may fit the action's match."""
    given = [bare(part) for part in members(returns)]
    taken = [bare(part) for part in members(match)]
    if not all(isinstance(part, type) and part is not Any for part in (*given, *taken)):
        return True
    return all(issubclass(part, tuple(taken)) or (part is int and float in taken) for part in given)


def _name(form: Any) -> str:
    if is_union(form):
        return " | ".join(_name(part) for part in get_args(form))
    return "None" if form in (None, type(None)) else str(getattr(form, "__name__", form))
