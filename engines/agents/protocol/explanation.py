"""What an explanation of a code is, and how its examples are put together."""

from __future__ import annotations

from typing import Final

from engines.model import Value

from .findings import SEVERITIES, Severity

STATES: Final = """\
- waiting (initial, idle): Nothing to do
- done (final): Finished"""

TRANSITIONS: Final = "- waiting → done: When nothing is left"


class Explanation(Value):
    """A code: what it means, and a file before and after. `others` are the files beside it, `registered` an older one.

    `file` is the name that the example must have. Codes about bytes, and about several roles, have no file that lint
    alone could judge: `is_shown` is False.
    """

    code: str
    severity: Severity
    meaning: str
    before: str
    after: str
    others: tuple[str, ...] = ()
    registered: str = ""
    file: str = ""
    is_shown: bool = True


def file(
    *,
    front: str = "version: 1.0.0",
    title: str = "# Protocol: task",
    states: str = STATES,
    transitions: str = TRANSITIONS,
    more: str = "",
) -> str:
    """An example: a small protocol without findings, except for the parts that are given."""
    parts = [f"---\n{front}\n---"] if front else []
    parts.append(f"{title}\n\n## States\n{states}\n\n## Transitions\n{transitions}")
    if more:
        parts.append(f"\n{more}")
    return "\n".join(parts) + "\n"


def about(
    code: str,
    meaning: str,
    before: str,
    after: str = "",
    *,
    others: tuple[str, ...] = (),
    registered: str = "",
    name: str = "",
    is_shown: bool = True,
) -> Explanation:
    """The explanation of a code; without `after`, the small protocol is what is right."""
    return Explanation(code, SEVERITIES[code], meaning, before, after or file(), others, registered, name, is_shown)
