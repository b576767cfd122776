"""What agents and operators may ask measurement, and what an agent may record."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from msgspec.structs import replace

from engines.model import Map

from ..bodies import ADDRESSEE, Unusable, body_of
from ..envelope import Frame, Json, Problem, failed, succeeded
from ..messages import AgentAnswer, AgentRequest
from .rollups import DAY_NS, HOUR_NS, NOTHING, Rollup
from .state import Rules
from .tracked import Measured
from .turn import MeasureTurn

PEERS_MAX: Final = 100
MEASURES_MAX: Final = 200
VALUE_MAX: Final = 1e15


def answer_request(turn: MeasureTurn, request: AgentRequest) -> AgentAnswer:
    """The answer to a request."""
    try:
        body = body_of(request)
    except Unusable as error:
        return failed(request, error.problem)
    agent = body.get(ADDRESSEE, request.agent)
    match request.op:
        case "measure.self":
            return succeeded(request, {"agent": agent, **_of_agent(turn, agent)}, _frame(turn, agent))
        case "measure.record":
            return _record(turn, request, body)
    if not _may_look(turn, request):
        message = f"your role may not see what is measured about others; '{request.op}' needs the right measure:system"
        return failed(request, Problem("validation", "no_right", message, hints=("see `aism measure self`",)))
    if request.op == "measure.peers":
        return succeeded(request, _peers(turn, body.get("after") or ""), _frame(turn, agent))
    if request.op == "measure.system":
        return succeeded(request, _system(turn), _frame(turn, agent))
    return failed(request, Problem("usage", "unknown_operation", f"there is no operation '{request.op[:64]}'"))


def _frame(turn: MeasureTurn, agent: str) -> Frame:
    facts = turn.agent(agent).facts
    names = ("context_percent", "tokens_in_state")
    return Frame(measurements={name: facts.get(f"measure.{name}") for name in names})


def _may_look(turn: MeasureTurn, request: AgentRequest) -> bool:
    if request.actor == "admin":
        return True
    measured = turn.agent(request.agent)
    rules = turn.state.rules.get(measured.digest) or Rules()
    return bool(measured.role) and measured.role in (*turn.gauges.open_to, *rules.viewers)


def _facts(measured: Measured) -> dict[str, Json]:
    return {name.removeprefix("measure."): value for name, value in measured.facts.items()}


def _of_agent(turn: MeasureTurn, agent: str) -> dict[str, Json]:
    measured = turn.agent(agent)
    usage, context = measured.tokens.total, measured.tokens.context
    return {
        "facts": _facts(measured),
        "state": measured.visit.state,
        "session": measured.session,
        "tokens": {
            "input": usage.input,
            "cache_read": usage.cache_read,
            "cache_write": usage.cache_write,
            "output": usage.output,
        },
        "context": {
            "tokens": context.tokens if context else None,
            "model": context.model if context else None,
            "at_ns": context.time_ns if context else None,
            "source": "log" if context else None,
            "confidence": "estimated" if context and context.is_estimated else "measured",
        },
        "hour": _measures(turn, HOUR_NS, agent),
    }


def _measures(turn: MeasureTurn, length_ns: int, agent: str = "") -> dict[str, Json]:
    """The measures of the hour or day that is not over, of one agent or of all."""
    found: dict[str, Rollup] = {}
    for series, rollup in turn.state.rollups.now(length_ns, turn.now_ns).items():
        if agent in ("", series.agent):
            found[series.measure] = found.get(series.measure, NOTHING).merge(rollup)
    return {name: shown(found[name]) for name in sorted(found)[:MEASURES_MAX]}


def shown(rollup: Rollup) -> dict[str, Json]:
    """A rollup as agents and people see it."""
    return {
        "count": rollup.count,
        "sum": float(rollup.sum),
        "least": rollup.least,
        "greatest": rollup.greatest,
        "last": rollup.last,
        "p50": _quantile(rollup, 0.5),
        "p95": _quantile(rollup, 0.95),
    }


def _quantile(rollup: Rollup, share: float) -> float | None:
    """No more than the greatest value, and no less than the least."""
    found = rollup.spread.quantile(share)
    return None if found is None else min(max(found, rollup.least), rollup.greatest)


def _peers(turn: MeasureTurn, after: str) -> dict[str, Json]:
    names = [name for name in turn.state.agents if name > after]
    peers = [
        {"agent": name, "role": one.role, "state": one.visit.state, "session": one.session, "facts": _facts(one)}
        for name in names[:PEERS_MAX]
        for one in (turn.agent(name),)
    ]
    return {"peers": peers, "next": names[PEERS_MAX - 1] if len(names) > PEERS_MAX else None}


def _system(turn: MeasureTurn) -> dict[str, Json]:
    state = turn.state
    return {
        "agents": len(state.agents),
        "events": state.events,
        "hour": _measures(turn, HOUR_NS),
        "day": _measures(turn, DAY_NS),
        "late": {name: shown(one) for name, one in state.rollups.late.items()},
        "gaps": [{"family": one.sender, "first": one.first, "last": one.last} for one in state.gaps],
        "missed": state.missed,
        "unwritten": len(state.shelf.waiting),
        "lost": state.shelf.lost,
    }


def _record(turn: MeasureTurn, request: AgentRequest, body: Mapping[str, Json]) -> AgentAnswer:
    """An agent records a value that its protocol declares: what it claims, which no guard ever sees."""
    measured = turn.agent(request.agent)
    declared = (turn.state.rules.get(measured.digest) or Rules()).declared
    name, value = body["id"], body["value"]
    if name not in declared:
        known = sorted(declared)
        problem = Problem(
            "validation", "not_declared", f"the protocol declares no measurement '{name[:64]}'", {"ids": known}
        )
        return failed(request, problem)
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < VALUE_MAX:
        return failed(request, Problem("validation", "no_number", f"'{name}' is a number"))
    if request.request_id not in measured.recorded:
        recorded = measured.recorded.set(request.request_id, None)
        kept = Map({request.request_id: None}) if len(recorded) > 1_000 else recorded
        turn.set_agent(request.agent, replace(measured, recorded=kept))
        turn.record(request.agent, f"custom.{name}", float(value), turn.now_ns, measured.visit)
        turn.happen("custom", request.agent, ("id", name), value=float(value))
    unit = declared[name].unit
    return succeeded(request, {"id": name, "value": value, "unit": unit, "confidence": "claimed"})
