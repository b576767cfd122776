"""Decisions: may this agent do that, what does it become, and if not, why not, and what may it do instead. Pure.

The order of a decision, after who asks, repeats and versions have been looked at by the validator: the actor, what the
state allows, that there is a transition, cool-down, limits and the shortest stay, the fields, the guard, what is set,
and the invariants of the result. Problems are collected all, so that one refusal has every reason. They are of four
kinds: fields are *missing* or *invalid*; something is *awaited*, which time or a fact may bring; the rest is
*forbidden*.

Of several transitions to a target, those with the most specific source come first (one id, then a list, then `any`),
then those with the highest priority, then the first in the document; the first one without a problem is taken.

An agent's request decides between transitions `by agent` without an event, or on the event that it names. The engine's
are taken by `due_move`, timeouts by `timed_out`, and a person's wish without any rule by `forced`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final, NamedTuple

from msgspec.structs import replace

from .decide_checks import forbidding, given_context, guard_problems, judged, settings, waits
from .decide_choice import candidates, leaves, targets
from .decide_effects import intents_of
from .decide_fields import read_fields
from .decide_record import HOUR_NS, Past, Record, Taken, entered, names_of_record, with_past
from .decide_values import Blocked, Decision, Move, Refusal, Wish
from .model import SELF, SYSTEM_STATES, Actor, Datum, Invariant, Protocol, Transition

HELD: Final = ("direct", "quarantined")
"""The system states in which an agent's own requests are refused. In the others, a request shows that it lives."""


def decide(protocol: Protocol, record: Record, wish: Wish, facts: Mapping[str, Datum], now_ns: int) -> Decision:
    """What becomes of a wish. `facts` are those known of the agent, by name."""
    if (refusal := _held(record, wish.actor)) is not None:
        return refusal
    found = candidates(protocol, record.state, wish.target, wish.event)
    if not found:
        return _no_transition(protocol, record, wish, facts, now_ns)
    blocked: list[Blocked] = []
    quarantine = ""
    for transition in found:
        result = attempt(protocol, record, transition, wish, facts, now_ns)
        if isinstance(result, Move):
            return result
        blocked.append(result.blocked[0])
        quarantine = quarantine or result.quarantine
    allowed = survey(protocol, record, facts, now_ns).allowed
    goal = found[0].target if len({one.target for one in found}) == 1 else wish.event
    return Refusal("blocked", f"no move from '{record.state}' to '{goal}' now", tuple(blocked), allowed, quarantine)


def _held(record: Record, actor: Actor) -> Refusal | None:
    if record.system not in HELD or actor != "agent":
        return None
    return Refusal(f"in_{record.system}", f"the agent is in '{record.system}'; wait until it is given back")


class Survey(NamedTuple):
    """What an agent can do where it is: the targets that it reaches by naming them, and what blocks the others."""

    allowed: tuple[str, ...] = ()
    blocked: tuple[Blocked, ...] = ()


def survey(
    protocol: Protocol,
    record: Record,
    facts: Mapping[str, Datum],
    now_ns: int,
    fields: Mapping[str, object] | None = None,
) -> Survey:
    """What the agent can do now, with these fields, found by trying."""
    allowed: list[str] = []
    blocked: list[Blocked] = []
    if record.system in HELD:
        return Survey()
    for target in targets(protocol, record.state):
        decision = decide_quietly(protocol, record, Wish("agent", target, "", fields or {}), facts, now_ns)
        if isinstance(decision, Move):
            allowed.append(target)
        else:
            blocked += decision.blocked
    return Survey(tuple(allowed), tuple(blocked))


def decide_quietly(protocol: Protocol, record: Record, wish: Wish, facts: Mapping[str, Datum], now_ns: int) -> Decision:
    """Whether there is a move, without looking for what else is allowed. Its record has no history of the move."""
    blocked: list[Blocked] = []
    for one in candidates(protocol, record.state, wish.target, wish.event):
        result = attempt(protocol, record, one, wish, facts, now_ns, is_trial=True)
        if isinstance(result, Move):
            return result
        blocked += result.blocked
    return Refusal("blocked", "", tuple(blocked))


def moves_by_engine(protocol: Protocol, record: Record) -> bool:
    """Whether the engine makes moves from the state of this record."""
    return not record.system and any(
        "engine" in one.actors and leaves(one, record.state) for one in protocol.transitions
    )


def due_move(
    protocol: Protocol, record: Record, facts: Mapping[str, Datum], now_ns: int, events: Iterable[str] = ()
) -> Move | None:
    """The engine's move that is due: of its transitions on one of these events, and of those whose guard is true."""
    if record.system:
        return None
    for event in (*events, ""):
        for one in candidates(protocol, record.state, "", event):
            if "engine" not in one.actors or one.event != event:
                continue
            result = attempt(protocol, record, one, Wish("engine", one.target, event), facts, now_ns)
            if isinstance(result, Move):
                return result
    return None


def timed_out(protocol: Protocol, record: Record, facts: Mapping[str, Datum], now_ns: int) -> Decision:
    """The move when the longest stay is over; a refusal where an invariant rejects the result."""
    state = protocol.state(record.state)
    assert state is not None  # by the caller, which has a timer for it
    assert state.timeout is not None
    edge = Transition(-1, (record.state,), state.timeout.target, event="timeout", actors=("engine",))
    after = _moved(record, edge, {}, Wish("engine", edge.target, "timeout"), now_ns)
    return _judged(protocol, record, edge, after, {}, Blocked(edge.target), facts, now_ns)


def forced(protocol: Protocol, record: Record, target: str, reason: str, now_ns: int) -> Move:
    """The move that a person makes, whatever the protocol says."""
    edge = Transition(-1, (record.state,), target, actors=("admin",))
    after = _moved(record, edge, {}, Wish("admin", target, "force", {}, reason), now_ns)
    return Move(after, None, intents_of(protocol, record, edge, {}))


def in_system(record: Record, state: str, reason: str, now_ns: int, actor: Actor = "engine") -> Record:
    """The record in a system state; "" goes back to the state below it.

    `direct` may lie over another system state: a person who gives the agent back has not ended that.
    """
    below = record.system if state == "direct" else ""
    system = state or (record.below if actor == "admin" else "")
    after = replace(record, system=system, below=below)
    past = Past(record.number + 1, now_ns, record.shown, after.shown, record.visit, actor, "system", reason)
    return with_past(after, past)


def attempt(
    protocol: Protocol,
    record: Record,
    edge: Transition,
    wish: Wish,
    facts: Mapping[str, Datum],
    now_ns: int,
    *,
    is_trial: bool = False,
) -> Decision:
    """What becomes of a wish by this transition: a move, or a refusal with all problems.

    A trial only says whether there is a move: its record is not as it would be.
    """
    values, missing, invalid = read_fields(edge.requires, wish.fields)
    names: dict[str, Datum] = {}
    if edge.guard is not None or edge.sets:
        names = names_of_record(record, facts, now_ns)
        names |= {f"request.{name}": value for name, value in values.items()}
    given, extra, ignored = given_context(protocol, edge, wish)
    setting, unset, unfit = settings(protocol, edge, names)
    awaiting, forbidden = guard_problems(edge, names)
    blocked = Blocked(
        edge.target,
        missing,
        (*invalid, *extra, *unfit),
        (
            *waits(protocol, record, edge, wish.actor, now_ns),
            *awaiting,
            *(unset if not missing and not invalid else ()),
        ),
        (*forbidding(protocol, record, edge, wish.actor, now_ns), *forbidden),
        edge.text,
    )
    after = _placed(record, edge, {**given, **setting}, now_ns)
    decision = _judged(protocol, record, edge, after, values, blocked, facts, now_ns)
    if is_trial or isinstance(decision, Refusal):
        return decision
    return replace(decision, record=_noted(record, edge, after, wish, now_ns), ignored=ignored)


def _moved(record: Record, edge: Transition, context: Mapping[str, Datum], wish: Wish, now_ns: int) -> Record:
    """The record after a transition that changes these fields of the context, before anybody has looked at it."""
    return _noted(record, edge, _placed(record, edge, context, now_ns), wish, now_ns)


def _placed(record: Record, edge: Transition, context: Mapping[str, Datum], now_ns: int) -> Record:
    """The record where a transition leads, with these fields of the context changed: all that guards can name."""
    after = record if edge.target == SELF else entered(record, edge.target, now_ns)
    return replace(after, context=after.context.updated(context)) if context else after


def _noted(record: Record, edge: Transition, after: Record, wish: Wish, now_ns: int) -> Record:
    """The record after a transition, with that as the last thing that happened."""
    if edge.index >= 0:
        after = replace(after, taken=record.taken.set(edge.index, _taken(record, edge, now_ns)))
    cause = wish.event or ("" if wish.actor == "agent" else wish.actor)
    number, attested = record.number + 1, edge.text
    return with_past(
        after,
        Past(number, now_ns, record.shown, after.shown, after.visit, wish.actor, cause, wish.reason[:1000], attested),
    )


def _taken(record: Record, edge: Transition, now_ns: int) -> Taken:
    before = record.taken.get(edge.index)
    in_visit = before.in_visit if before is not None and before.visit == record.visit else 0
    in_session = before.in_session if before is not None and before.session == record.session else 0
    most = max((one.count for one in edge.limits if one.period == "hour"), default=0)
    recent = (*(before.within_hour if before is not None else ()), now_ns)
    within = tuple(one for one in recent if one > now_ns - HOUR_NS)[-most:] if most else ()
    return Taken(now_ns, record.visit, in_visit + 1, record.session, in_session + 1, within)


def _judged(
    protocol: Protocol,
    record: Record,
    edge: Transition,
    after: Record,
    values: Mapping[str, Datum],
    blocked: Blocked,
    facts: Mapping[str, Datum],
    now_ns: int,
) -> Decision:
    """The move to `after`, unless something blocks it or an invariant rejects it."""
    alarms: list[str] = []
    invalid: list[str] = []
    awaiting: list[str] = []
    quarantine = ""
    for one, holds, said in _broken(protocol, after, facts, now_ns):
        if one.on_fail == "reject":
            (awaiting if holds is None else invalid).append(said)
        elif holds is False and one.on_fail == "alarm":
            alarms.append(said)
        elif holds is False:
            invalid.append(said)
            quarantine = one.id
    if blocked.is_empty and not invalid and not awaiting:
        transition = edge if edge.index >= 0 else None
        return Move(after, transition, intents_of(protocol, record, edge, values), tuple(alarms))
    was_empty = blocked.is_empty
    if not blocked.missing:
        blocked = replace(blocked, invalid=(*blocked.invalid, *invalid), awaiting=(*blocked.awaiting, *awaiting))
    return Refusal("blocked", "", (blocked,), (), quarantine if was_empty else "")


def _broken(
    protocol: Protocol, record: Record, facts: Mapping[str, Datum], now_ns: int
) -> Iterator[tuple[Invariant, bool | None, str]]:
    """The invariants that do not hold for a record, or are not known to."""
    looked_at = [one for one in protocol.invariants if not one.states or record.state in one.states]
    names = names_of_record(record, facts, now_ns) if looked_at else {}
    for one in looked_at:
        holds, awaiting, seen = judged(one.guard.text, names)
        if not holds:
            why = f"{', '.join(awaiting)} unknown" if holds is None else seen
            yield one, holds, f"invariant {one.id}: `{one.guard.text}`: {why}"


def _no_transition(protocol: Protocol, record: Record, wish: Wish, facts: Mapping[str, Datum], now_ns: int) -> Refusal:
    allowed = survey(protocol, record, facts, now_ns).allowed
    goal = wish.target or wish.event
    if wish.target and protocol.state(wish.target) is None and wish.target not in (*SYSTEM_STATES, SELF):
        why = f"there is no state '{wish.target}'"
        code = "unknown_state"
    else:
        on = [one.event for one in protocol.transitions if leaves(one, record.state) and one.target == wish.target]
        why = f"there is no transition from '{record.state}' to '{goal}'"
        why += f" but on {', '.join(dict.fromkeys(on))}" if on and not wish.event else ""
        code = "no_transition"
    return Refusal(code, why, (Blocked(goal, forbidden=(why,)),), allowed)


def with_context(
    protocol: Protocol,
    record: Record,
    given: Mapping[str, object],
    actor: Actor,
    facts: Mapping[str, Datum],
    now_ns: int,
) -> Decision:
    """What becomes of a wish to set fields of the context, in the state where the agent is."""
    if (refusal := _held(record, actor)) is not None:
        return refusal
    edge = Transition(-1, (record.state,), SELF, actors=(actor,))
    values, invalid, unknown = given_context(protocol, edge, Wish(actor, fields=given))
    unknown = tuple(f"{name}: there is no such field" for name in unknown)
    blocked = Blocked(SELF, invalid=(*invalid, *unknown))
    after = _moved(record, edge, values, Wish(actor, SELF, "context"), now_ns)
    return _judged(protocol, record, edge, after, {}, blocked, facts, now_ns)
