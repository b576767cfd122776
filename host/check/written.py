"""A counterexample as a test file that fails the same way, and as a chart."""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

from host.check.again import line_of
from host.check.run import CheckReport, CheckRequest
from host.check.search import Violation
from host.check.trace import trace_of

PASSED_ON: Final = (
    "params", "roots", "always", "sometimes", "eventually", "leads_to", "network", "faults", "timers", "ticks_ns",
    "until_ns", "samples", "ignores_idle",
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
    name = re.sub(r"\W+", "_", violation.property).strip("_").lower()
    reason = violation.what.splitlines()[0]
    lines = [
        f'"""A counterexample found by `enginehost check`: {violation.property}, of {report.system.name}."""',
        "",
        "from host.check.again import follow",
        "",
        'STEPS = r"""',
        *map(line_of, trace.steps),
        '"""',
        "",
        "",
        f"def test_{name}() -> None:",
        f'    """False while this way shows it: {msgspec.json.encode(reason).decode()[1:-1]}."""',
        f"    follow({request.subject!r}, STEPS, {', '.join(f'{key}={value!r}' for key, value in arguments.items())})",
        "",
    ]
    return "\n".join(lines)
