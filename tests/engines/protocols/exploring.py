"""Checks of the systems in `engines/protocols`, named as a user of `enginehost check` names them."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from host.check.local import Engines
from host.check.properties import properties_of
from host.check.run import CheckReport, CheckRequest, check
from host.check.search import Exploration, Findings
from host.check.space import Space
from host.check.subject import load_subject
from host.check.symmetry import Symmetry
from host.check.trace import trace_of


def checked(protocol: str, *, faults: int = 0, ignores_idle: bool = False, **params: Any) -> CheckReport:
    """The report of a check of all properties that the system states."""
    return check(
        CheckRequest(
            subject=f"engines.protocols.{protocol}:SYSTEM",
            params=texts(params),
            faults=faults,
            ignores_idle=ignores_idle,
        )
    )


def counted(
    protocol: str, *, network: str = "", ignores_idle: bool = False, is_symmetric: bool = False, **params: Any
) -> Findings:
    """What a search finds that looks at no more than the safety of each state; sooner than `checked`."""
    system: Any = load_subject(f"engines.protocols.{protocol}:SYSTEM", texts(params))
    if network:
        system = replace(system, network=network)
    space = Space(system, Engines(), ignores_idle=ignores_idle)
    if is_symmetric:
        space.canonical = Symmetry(space, system.symmetric).canonical
    return Exploration(space, properties_of(system)).run()


def texts(params: dict[str, Any]) -> dict[str, str]:
    """Parameters as the command gets them."""
    return {name: str(value).lower() if isinstance(value, bool) else str(value) for name, value in params.items()}


def all_hold(report: CheckReport) -> bool:
    """Whether every state was looked at and each property holds."""
    return report.is_exhaustive and {verdict.decided for verdict in report.verdicts} == {"holds"}


def counts(found: Findings) -> tuple[int, int]:
    """States and transitions of a search that was exhaustive and found no violation."""
    assert not found.ended
    assert not found.violations
    return found.counts.states, found.counts.transitions


def violation(report: CheckReport) -> tuple[str, list[str]]:
    """The property that does not hold, and the steps of the shortest way there: who does what, by which rule."""
    (found,) = report.found.violations
    steps = trace_of(report.space, found.path).steps
    return found.property, [f"{step.engine}: {step.label}" for step in steps]
