"""The terms of agents' lives: who gets what, and all times and bounds."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta

from engines.model import Config, Ref

Positive = Annotated[int, Meta(ge=1)]


class Terms(Config):
    """Parameters of the orchestrator. `command` is for agents that are added without one. `listeners` get everything
    that happened.

    Context is in percent: at `context_soft` the agent is told, at `context_ask` a rotation is asked for, at
    `context_force` it is forced.
    """

    validator: Ref[Any]
    bridge: Ref[Any]
    launcher: Ref[Any]
    router: Ref[Any] | None = None
    listeners: tuple[Ref[Any], ...] = ()
    command: tuple[str, ...] = ()
    protocol: str = "inbox"
    agents_max: Positive = 1_000
    start_ns: Positive = 60_000_000_000
    prompt_ns: Positive = 120_000_000_000
    silence_ns: Positive = 600_000_000_000
    grace_ns: Positive = 10_000_000_000
    backoff_ns: Positive = 1_000_000_000
    backoff_max_ns: Positive = 60_000_000_000
    budget: Positive = 5
    budget_ns: Positive = 600_000_000_000
    stable_ns: Positive = 300_000_000_000
    lost_ns: Positive = 2_000_000_000
    rotation_ns: Positive = 600_000_000_000
    interrupt_ns: Positive = 120_000_000_000
    session_age_ns: Positive = 28_800_000_000_000
    context_soft: float = 70.0
    context_ask: float = 85.0
    context_force: float = 95.0
    handover_bytes_min: Positive = 200
    handover_bytes_max: Positive = 32 << 10
