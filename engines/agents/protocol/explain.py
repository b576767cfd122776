"""What each code means, with a file before and after: `aism explain CODE`."""

from __future__ import annotations

from typing import Final

from .explain_form import FORM
from .explain_rules import RULES
from .explanation import Explanation

EXPLANATIONS: Final[dict[str, Explanation]] = {one.code: one for one in (*FORM, *RULES)}
"""All codes."""


def explained(one: Explanation) -> str:
    """An explanation as text for people."""
    parts = [f"{one.code} ({one.severity})", one.meaning]
    if one.is_shown:
        parts += [f"Before:\n\n{_indented(one.before)}", f"After:\n\n{_indented(one.after)}"]
    return "\n\n".join(parts) + "\n"


def _indented(text: str) -> str:
    return "\n".join(f"    {line}".rstrip() for line in text.splitlines())
