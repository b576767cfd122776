"""What a protocol says to an agent in a state: the moves that there are, as one line of a prompt."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from engines.agents.protocol.model import ANY, Protocol, Transition
from engines.agents.protocol.parse import parse

PROCESS_LIMITS: Final = {
    "memory": ("memory_bytes", 1),
    "cpu": ("cpu_percent", 1),
    "pids": ("pids", 1),
    "files": ("files", 1),
    "wall": ("wall_s", 1_000_000_000),
}
"""From a limit in a protocol to that of the launchers, and how many of its units are one of theirs."""


@lru_cache(maxsize=64)
def read(source: str) -> Protocol:
    """The protocol in a text that was registered, so it is sound. Kept, since each prompt asks."""
    return parse(source).protocol


def possible_moves(source: str, state: str) -> str:
    """The targets that an agent may ask for from this state, each with its condition."""
    found = [each for each in read(source).transitions if _is_from(each, state) and _is_for_agents(each)]
    named = ((each.target, _condition(each)) for each in found)
    return "; ".join(f"{target} ({condition})" if condition else target for target, condition in named)


def is_guarded_by_context(source: str, state: str) -> bool:
    """Whether a move from this state waits for the context to be full."""
    guards = (each.guard for each in read(source).transitions if _is_from(each, state))
    return any(guard is not None and "measure.context" in guard.text for guard in guards)


def _is_from(transition: Transition, state: str) -> bool:
    if state in transition.sources:
        return True
    return ANY in transition.sources and state not in transition.excepted


def _is_for_agents(transition: Transition) -> bool:
    return not transition.actors or "agent" in transition.actors


def _condition(transition: Transition) -> str:
    parts = [transition.text] if transition.text else []
    parts += [f"if {transition.guard.text}"] if transition.guard is not None else []
    parts += [f"needs {', '.join(field.name for field in transition.requires)}"] if transition.requires else []
    return ", ".join(parts)


def process_limits(source: str) -> dict[str, int]:
    """The limits of a process that a protocol names, under the launchers' names."""
    found = {}
    for bound in read(source).limits:
        if bound.name in PROCESS_LIMITS and not bound.period_ns:
            name, unit = PROCESS_LIMITS[bound.name]
            found[name] = max(1, int(bound.value // unit))
    return found
