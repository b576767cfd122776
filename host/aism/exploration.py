"""The roles of a protocol explored together, by the checker of the host; `engines.agents.protocol.explore` says how."""

from __future__ import annotations

from typing import Any

from engines.agents.protocol.explore import CLAIMS, SECONDS_MAX, STATES_MAX, Explored, Roles, finding_of, system_of
from engines.agents.protocol.findings import Finding
from engines.agents.protocol.model import Protocol
from host.check.plain import PlainSpace
from host.check.properties import properties_of
from host.check.search import Bounds, Exploration
from host.check.trace import trace_of


def explore(protocol: Protocol) -> Explored:
    """Look for deadlocks, receptions that nobody provided for, and messages for who has gone."""
    roles = Roles(protocol)
    if not roles.is_of_interest:
        return Explored()
    findings: list[Finding] = []
    count, is_whole = 0, True
    for code in CLAIMS:
        system = system_of(roles, code)
        space = PlainSpace(system)
        bounds = Bounds(states=STATES_MAX, seconds=SECONDS_MAX / len(CLAIMS))
        found = Exploration(space, properties_of(system), bounds).run()
        count = max(count, found.counts.states)
        is_whole = is_whole and (not found.ended or bool(found.violations))
        for violation in found.violations:
            trace = trace_of(space, violation.path)
            joint: Any = trace.steps[-1].state if trace.steps else trace.initial
            findings.append(finding_of(roles, code, joint, [one.label for one in trace.steps]))
    return Explored(tuple(findings), count, is_whole, roles.is_bounded)
