"""A counterexample as a test file that fails the same way, and as a chart."""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

from engines.model import view
from host.chart.labels import message_label
from host.chart.model import Arrow, Chart, ChartEvent, ChartMark, Fate, MarkKind, participants_of
from host.check.again import line_of
from host.check.local import CheckError
from host.check.plain import PlainSpace
from host.check.run import CheckReport, CheckRequest
from host.check.search import Violation
from host.check.space import Space, Successor
from host.check.trace import trace_of

PASSED_ON: Final = (
    "sends", "params", "roots", "always", "sometimes", "eventually", "leads_to", "network", "faults", "timers",
    "ticks_ns", "until_ns", "samples", "ignores_idle", "allows_failures",
)  # fmt: skip
"""Fields of a request that a counterexample depends on."""


def test_text(request: CheckRequest, report: CheckReport, violation: Violation) -> str:
    """The text of a file for pytest. The violation has a path."""
    trace = trace_of(report.space, violation.path, violation.loop)
    arguments: dict[str, Any] = {"property": violation.property}
    if violation.loop is not None:
        arguments["loop"] = violation.loop
    plain = CheckRequest(subject=request.subject)
    for field in PASSED_ON:
        if getattr(request, field) != getattr(plain, field):
            arguments[field] = getattr(request, field)
    if "sends" in arguments:
        arguments["sends"] = tuple(map(tuple, request.sends))
    name = re.sub(r"\W+", "_", violation.property).strip("_").lower()
    reason = violation.what.splitlines()[0]
    lines = [
        f'"""A counterexample found by `enginehost check`: {violation.property}, of {report.system.name}."""',
        "",
        "from host.check.again import follow",
        "",
        "STEPS = (",
        *(f"    {line_of(step)!r}," for step in trace.steps),
        ")",
        "",
        "",
        f"def test_{name}() -> None:",
        f'    """False while this way shows it: {msgspec.json.encode(reason).decode()[1:-1]}."""',
        f"    follow({request.subject!r}, STEPS, {', '.join(f'{key}={value!r}' for key, value in arguments.items())})",
        "",
    ]
    return "\n".join(lines)


def chart_of(report: CheckReport, violation: Violation) -> Chart:
    """The way to a violation as a sequence chart. A time in it is the number of a step. Raises CheckError."""
    space = engine_space(report, "chart")
    trace = trace_of(space, violation.path, violation.loop)
    events: list[ChartEvent] = []
    for number, step in enumerate(trace.steps, 1):
        if number - 1 == trace.loop:
            events.append(ChartMark(number, (), "note", "from here on, for ever"))
        events.append(_event(number, step))
        spawns = step.reaction.spawns if step.reaction is not None else ()
        events += (Arrow(number, step.engine, child.name, child.family.name, "spawn") for child in spawns)
    last = len(trace.steps)
    events.append(ChartMark(last, (), "failed", f"{violation.property}: {violation.what.splitlines()[0]}"))
    names = [engine.name for engine in space.view(space.initial).engines()]
    return Chart(participants_of(events, names), tuple(events))


def engine_space(report: CheckReport, what: str) -> Space:
    """The states of the engines that a chart or a journal shows. Raises CheckError if there are none."""
    if isinstance(report.space, PlainSpace):
        raise CheckError(f"no {what}: it shows engines, and {report.system.name} is a plain transition system")
    return report.space


def _event(number: int, step: Successor) -> ChartEvent:
    if step.envelope is None:
        kinds: dict[str, MarkKind] = {"answer": "answered", "reload": "reloaded", "crash": "restarted"}
        return ChartMark(number, (step.engine,), kinds.get(step.kind, "fired"), step.label)
    envelope = step.envelope
    fate: Fate = "taken"
    if step.kind == "lose":
        fate = "lost"
    elif step.reaction is not None and step.reaction.dropped:
        fate = "failed" if step.reaction.error else "refused"
    elif step.label == "stored":
        fate = "stored"
    return Arrow(number, envelope.sender, envelope.target, message_label(view(envelope.message)), fate)
