"""What agents ask of the validator about their state and context, and what people override."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from msgspec.structs import replace

from ..envelope import Json, Problem
from ..messages import AgentRequest
from ..protocol.decide import (
    decide,
    decide_quietly,
    forced,
    survey,
    with_context,
)
from ..protocol.decide_checks import judged
from ..protocol.decide_choice import by_others
from ..protocol.decide_record import Past, Record, in_session, names_of_record
from ..protocol.decide_values import Blocked, Move, Refusal, Wish
from ..protocol.guards import GuardError, known_names, parse_guard, problems
from ..protocol.model import Protocol
from .records import Awaiting, Held
from .validating import Validation

HISTORY_COUNT: Final = 20
WAITS_MAX: Final = 4
"""Requests of an agent that wait for a change."""

WAIT_NS_MAX: Final = 3_600 * 10**9


def current(turn: Validation, request: AgentRequest, agent: str) -> None:
    """Where the agent is, and what it may do. Changes nothing."""
    turn.answer_only(request, agent, described(turn, agent))


def described(turn: Validation, agent: str) -> dict[str, Json]:
    """Where an agent is, what it may do, and what blocks the rest."""
    held = turn.held(agent)
    record, protocol, facts = held.record, turn.protocol_of(held.record), turn.facts(agent)
    state = protocol.state(record.state)
    found = survey(protocol, record, facts, turn.now_ns)
    return {
        "state": record.shown,
        **({"below": record.state} if record.system else {}),
        "visit": record.visit,
        "since_ns": record.since_ns,
        "text": state.text if state is not None else "",
        "flags": list(state.flags) if state is not None else [],
        "role": record.role,
        "allowed_transitions": list(found.allowed),
        "blocked": [*map(shown, found.blocked)],
        "context": dict(record.context.items()),
        **({"until_ns": held.timeout_ns} if held.timeout_ns else {}),
    }


def transition(turn: Validation, request: AgentRequest, agent: str, body: Mapping[str, Json]) -> None:
    """Moves the agent, or says why not."""
    if (problem := stale(turn.held(agent).record, body)) is not None:
        turn.refused(request, agent, problem)
        return
    held = turn.held(agent)
    wish = Wish(
        request.actor, body.get("target", ""), body.get("event", ""), body.get("context", {}), body.get("reason", "")
    )
    if not wish.target and not wish.event:
        turn.refused(request, agent, Problem("usage", "no_target", "name the state to go to, or an event"))
        return
    decision = decide(turn.protocol_of(held.record), held.record, wish, turn.facts(agent), turn.now_ns)
    if isinstance(decision, Refusal):
        _refuse(turn, request, agent, wish, decision)
        return
    _commit(turn, request, agent, decision)


def _commit(turn: Validation, request: AgentRequest, agent: str, move: Move) -> None:
    """The answer says what this request did; what the engine did next is in `then`."""
    turn.commit(agent, move, request.request_id)
    record = turn.held(agent).record
    data = {
        **described(turn, agent),
        "before": move.record.past[-1].before,
        "after": move.record.shown,
        "alarms": list(move.alarms),
        "ignored": list(move.ignored),
        "then": [one.state for one in record.past if one.number > move.record.number],
    }
    turn.done(request, agent, data)


def _refuse(turn: Validation, request: AgentRequest, agent: str, wish: Wish, refusal: Refusal) -> None:
    if refusal.quarantine:
        turn.enter(agent, "quarantined", f"invariant {refusal.quarantine} would not hold")
    turn.refused(request, agent, problem_of(turn.held(agent).record, wish.target or wish.event, refusal))


def problem_of(record: Record, goal: str, refusal: Refusal) -> Problem:
    """A refusal, as agents get it."""
    details = {
        "current_state": record.shown,
        "requested_state": goal,
        "allowed_transitions": list(refusal.allowed),
        "blocked": [shown(one) for one in refusal.blocked],
    }
    return Problem("validation", refusal.code, refusal.message, details, tuple(_hints(refusal)))


def _hints(refusal: Refusal) -> list[str]:
    hints = [f"aism state transition {target}" for target in refusal.allowed]
    for one in refusal.blocked:
        if one.missing and not one.forbidden and not one.awaiting:
            fields = ", ".join(f'"{name}": ...' for name in one.missing)
            hints.append(f"aism state transition {one.target} --context '{{{fields}}}'")
    return hints or ["aism state current"]


def shown(one: Blocked) -> dict[str, Json]:
    """A blocked target, as agents get it."""
    found: dict[str, Json] = {
        "target": one.target,
        "missing": list(one.missing),
        "invalid": list(one.invalid),
        "awaiting": list(one.awaiting),
        "forbidden": list(one.forbidden),
    }
    return {**found, **({"condition": one.condition} if one.condition else {})}


def can(turn: Validation, request: AgentRequest, agent: str, body: Mapping[str, Json]) -> None:
    """Whether a move would be made now, by an agent that names no fields. Changes nothing."""
    held = turn.held(agent)
    record, protocol, facts = held.record, turn.protocol_of(held.record), turn.facts(agent)
    target = body.get("target", "")
    allowed, blocked = survey(protocol, record, facts, turn.now_ns)
    others = () if record.system else by_others(protocol, record.state)
    if target:
        decision = decide_quietly(protocol, record, Wish(request.actor, target), facts, turn.now_ns)
        others = tuple(one for one in others if one.target == target)
        if isinstance(decision, Refusal) and not decision.blocked and not others:
            decision = decide(protocol, record, Wish(request.actor, target), facts, turn.now_ns)
        blocked = decision.blocked if isinstance(decision, Refusal) else ()
        allowed = tuple(one for one in allowed if one == target)
    known = {one.forbidden for one in blocked if one.forbidden}
    blocked = (*blocked, *(one for one in others if one.target not in allowed and one.forbidden not in known))
    turn.answer_only(
        request, agent, {"state": record.shown, "allowed_transitions": list(allowed), "blocked": [*map(shown, blocked)]}
    )


def history(turn: Validation, request: AgentRequest, agent: str, body: Mapping[str, Json]) -> None:
    """The last moves, the newest first. Changes nothing."""
    record = turn.held(agent).record
    before = body.get("before", record.number + 1)
    found = [one for one in reversed(record.past) if one.number < before]
    page = found[: max(1, min(body.get("count", HISTORY_COUNT), 100))]
    following = page[-1].number if len(page) < len(found) else None
    turn.answer_only(request, agent, {"moves": [_past(one) for one in page], "next": following})


def _past(one: Past) -> dict[str, Json]:
    found: dict[str, Json] = {
        "seq": one.number,
        "time_ns": one.time_ns,
        "before": one.before,
        "after": one.state,
        "below": one.below,
        "visit": one.visit,
        "actor": one.actor,
        "cause": one.cause,
        "reason": one.reason,
        "attested": one.attested,
    }
    return {name: value for name, value in found.items() if value != ""}


def wait(turn: Validation, request: AgentRequest, agent: str, body: Mapping[str, Json]) -> None:
    """Answers when the record changes, or when a guard holds; at the latest after the given time."""
    held, until = turn.held(agent), body.get("until", "")
    if until and (problem := _unreadable(until, turn.protocol_of(held.record))) is not None:
        turn.refused(request, agent, problem)
        return
    end_ns = turn.now_ns + min(body["timeout"], WAIT_NS_MAX)
    same = [one for one in held.waits if one.request.request_id == request.request_id]
    others = tuple(one for one in held.waits if one.request.request_id != request.request_id)
    if len(others) >= WAITS_MAX:
        turn.refused(request, agent, Problem("limit", "too_many_waits", f"{WAITS_MAX} requests wait already"))
        return
    one = replace(same[0], request=request) if same else Awaiting(request, held.record.number, until, end_ns)
    turn.hold(agent, replace(held, waits=(*others, one)))
    settle(turn, agent)


def _unreadable(until: str, protocol: Protocol) -> Problem | None:
    try:
        wrong = problems(parse_guard(until), known_names(protocol), protocol)
    except GuardError as error:
        wrong = (error,)
    if not wrong:
        return None
    hints = tuple(one.hint for one in wrong if one.hint)
    return Problem("usage", wrong[0].code, wrong[0].message, {"offset": wrong[0].offset}, hints)


def settle(turn: Validation, agent: str) -> None:
    """Answers the waiting requests of an agent that have what they wait for, or whose time is over."""
    held = turn.held(agent)
    if not held.waits:
        return
    names = names_of_record(held.record, turn.facts(agent), turn.now_ns)
    over = tuple(one for one in held.waits if _is_over(one, held, names, turn.now_ns))
    if not over:
        return
    turn.hold(agent, replace(held, waits=tuple(one for one in held.waits if one not in over)))
    for one in over:
        is_met = _is_met(one, held, names)
        turn.done(one.request, agent, {**described(turn, agent), "is_met": is_met})


def _is_over(one: Awaiting, held: Held, names: Mapping[str, Json], now_ns: int) -> bool:
    return one.end_ns <= now_ns or _is_met(one, held, names)


def _is_met(one: Awaiting, held: Held, names: Mapping[str, Json]) -> bool:
    if one.until:
        return judged(one.until, names)[0] is True
    return held.record.number > one.number


def stale(record: Record, body: Mapping[str, Json]) -> Problem | None:
    """That a request is about an earlier state of the record, if it is."""
    expected = body.get("expect_seq")
    if expected is None or expected == record.number:
        return None
    message = f"expected change {expected}, but the last one is {record.number}"
    details = {"expected": expected, "seq": record.number, "current_state": record.shown}
    return Problem("conflict", "stale_seq", message, details, ("aism state current",))


def context_get(turn: Validation, request: AgentRequest, agent: str, body: Mapping[str, Json]) -> None:
    """The context, or a field of it. Changes nothing."""
    context = turn.held(agent).record.context
    key = body.get("key")
    if key is not None and key not in context:
        turn.refused(request, agent, Problem("unknown", "no_field", f"the context has no value for '{key[:64]}'"))
        return
    turn.answer_only(
        request, agent, {"context": {name: value for name, value in context.items() if key in (None, name)}}
    )


def context_set(turn: Validation, request: AgentRequest, agent: str, body: Mapping[str, Json]) -> None:
    """Sets fields of the context, if they fit and the invariants hold."""
    held = turn.held(agent)
    if (problem := stale(held.record, body)) is not None:
        turn.refused(request, agent, problem)
        return
    protocol = turn.protocol_of(held.record)
    decision = with_context(protocol, held.record, body["values"], request.actor, turn.facts(agent), turn.now_ns)
    if isinstance(decision, Refusal):
        if decision.blocked:
            reasons = [text for one in decision.blocked for text in (*one.invalid, *one.awaiting, *one.forbidden)]
            message = "; ".join(["the context was not changed", *reasons])
            decision = replace(decision, code="bad_context", message=message)
        _refuse(turn, request, agent, Wish(target=held.record.state), decision)
        return
    turn.commit(agent, decision, request.request_id)
    turn.done(request, agent, {"context": dict(turn.held(agent).record.context.items())})


def override(turn: Validation, request: AgentRequest, agent: str, body: Mapping[str, Json]) -> None:
    """A person takes an agent over, gives it back, or moves it."""
    held = turn.held(agent)
    reason = body["reason"]
    if not reason.strip():
        turn.refused(request, agent, Problem("usage", "no_reason", "say why: the audit has the reason"))
        return
    match request.op:
        case "override.takeover":
            turn.enter(agent, "direct", reason, "admin")
        case "override.release":
            turn.enter(agent, "", reason, "admin")
        case _:
            target = body["target"]
            if turn.protocol_of(held.record).state(target) is None:
                turn.refused(request, agent, Problem("unknown", "unknown_state", f"there is no state '{target[:64]}'"))
                return
            move = forced(turn.protocol_of(held.record), held.record, target, reason, turn.now_ns)
            turn.commit(agent, move, request.request_id)
    turn.happen("override", agent, ("op", request.op), ("reason", reason[:1000]), ("request", request.request_id))
    turn.done(request, agent, described(turn, agent))


def begin_session(turn: Validation, agent: str, session: int) -> None:
    """The first request of a later session: what is kept for a session only begins again."""
    held = turn.held(agent)
    if session > held.record.session:
        turn.hold(agent, replace(held, record=in_session(turn.protocol_of(held.record), held.record, session)))
